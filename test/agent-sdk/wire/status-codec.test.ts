import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import { Metadata, status } from '@grpc/grpc-js'
import { judgeStreamError } from '../../../agent-sdk/src/client/lost-stream.ts'
import { errorToStatus, statusToError } from '../../../agent-sdk/src/wire/status-codec.ts'

const arrived = (code: number, metadata = new Metadata()) =>
  Object.assign(new Error('words'), { code, details: 'words', metadata })

describe('errors on the wire', () => {
  it('arrive with code, message, hint, facts and when to try again', () => {
    const sent = new MeshError('MESH_RATE_LIMITED', 'slow down', {
      facts: { rule: 'r' },
      retryAfterMs: 1_500,
    })
    const { code, metadata, details } = errorToStatus(sent)
    assert.equal(code, status.RESOURCE_EXHAUSTED)
    // one line for tools that show nothing else
    assert.match(details, /^MESH_RATE_LIMITED: slow down \(.+\)$/)
    const error = statusToError(arrived(code, metadata))
    assert.equal(error.code, 'MESH_RATE_LIMITED')
    assert.equal(error.message, 'slow down')
    assert.deepEqual(error.facts, { rule: 'r' })
    assert.equal(error.retryAfterMs, 1_500)
  })

  it('say nothing of what happened inside', () => {
    const { details } = errorToStatus(new Error('the password is hunter2'))
    assert.doesNotMatch(details, /hunter2/)
  })

  it('carry neither lone surrogates nor books', () => {
    const { details } = errorToStatus(
      new MeshError('MESH_TASK_CANCELED', `\ud800${'\u{1f600}'.repeat(2_000)}`),
    )
    assert.ok(details.isWellFormed())
    assert.ok(details.length <= 1_024)
  })

  it('are understood without details too', () => {
    assert.equal(statusToError(arrived(status.UNAVAILABLE)).code, 'MESH_GATEWAY_UNREACHABLE')
    assert.equal(statusToError(arrived(status.UNIMPLEMENTED)).code, 'MESH_PEER_PROTOCOL')
    assert.equal(statusToError('no error at all').code, 'MESH_PEER_PROTOCOL')
  })

  it('tell a broken stream from an answer that stands', () => {
    const lost = (code: number, started: boolean) => judgeStreamError(arrived(code), started).lost
    assert.equal(lost(status.UNAVAILABLE, false), true)
    assert.equal(lost(status.INTERNAL, true), true)
    assert.equal(lost(status.PERMISSION_DENIED, true), false)
    assert.equal(lost(status.DEADLINE_EXCEEDED, false), false)
    const refused = errorToStatus(new MeshError('MESH_PEER_MISMATCH'))
    assert.equal(judgeStreamError(arrived(refused.code, refused.metadata), true).lost, false)
  })
})
