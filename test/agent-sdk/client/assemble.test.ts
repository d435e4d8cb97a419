import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createAssembler } from '../../../agent-sdk/src/client/assemble.ts'

const head = { id: 'x', seq: 1, time: new Date(0) }
const chunk = (index: number, data: string, sha256: string | null = null, name = 'f') => ({
  ...head,
  body: {
    ...{ kind: 'artifact' as const, name, mediaType: '', index, data: Buffer.from(data) },
    ...{ last: sha256 !== null, sha256 },
  },
})
const sha = (text: string) => createHash('sha256').update(text).digest('hex')

describe('artifacts that arrive', () => {
  it('are put together and verified', () => {
    const { take, artifacts } = createAssembler(1e6, true)
    take(chunk(0, 'ab'))
    take(chunk(1, 'cd', sha('abcd')))
    assert.equal(Buffer.from(artifacts().get('f')?.bytes ?? []).toString(), 'abcd')
  })

  it('with another hash, a missing chunk or a second beginning are refused', () => {
    const refused = { code: 'MESH_PEER_PROTOCOL' }
    assert.throws(() => createAssembler(1e6, true).take(chunk(0, 'ab', sha('other'))), refused)
    assert.throws(() => createAssembler(1e6, true).take(chunk(1, 'ab')), refused)
    const twice = createAssembler(1e6, true)
    twice.take(chunk(0, 'a', sha('a')))
    assert.throws(() => twice.take(chunk(0, 'b', sha('b'))), refused)
  })

  it('seen from their middle are passed on as they are', () => {
    const { take } = createAssembler(1e6, false)
    assert.equal(take(chunk(5, 'ab'))?.kind, 'artifact')
  })

  it('more than the caller wants to hold are not held: the events still come, the gathering says so', () => {
    const { take, artifacts } = createAssembler(10_000, true)
    for (let i = 0; i < 10_000; i += 1)
      assert.equal(take(chunk(0, '', sha(''), `f${i}`))?.kind, 'artifact')
    assert.throws(artifacts, { code: 'MESH_LIMIT_SIZE' })
  })
})
