import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/agent-sdk'
import { MeshError as ProtoError } from '@clawmesh/proto'

describe('MeshError', () => {
  it('comes from the door of the SDK, and is the one of proto', () =>
    assert.equal(MeshError, ProtoError))

  it('with a code of its own has all that an error of the mesh has', () => {
    const error = new MeshError('QUOTA_EXHAUSTED', 'no more today', { facts: { left: '0' } })
    assert.equal(error.code, 'MESH_TASK_FAILED')
    assert.deepEqual(error.facts, { left: '0', code: 'QUOTA_EXHAUSTED' })
    assert.equal(error.hint, error.row.hint)
    assert.equal(error.publicMessage, 'no more today')
    assert.equal(new MeshError('MEMORY_LOW').message, error.row.meaning)
  })

  it('a code that looks like one of the mesh and is none is a TypeError that names the nearest', () => {
    // @ts-expect-error: it does not compile
    assert.throws(() => new MeshError('MESH_TASK_REJECTD'), {
      ...{ name: 'TypeError' },
      message: 'code: MESH_TASK_REJECTD is none of the mesh; did you mean MESH_TASK_REJECTED',
    })
    // @ts-expect-error: nor does this
    assert.throws(() => new MeshError(undefined, 'x'), TypeError)
  })
})
