import assert from 'node:assert/strict'
import { type ErrorCode, MeshError } from '@clawmesh/proto'
import { Metadata, status } from '@grpc/grpc-js'
import { isCut, judgeStreamError } from '../../../agent-sdk/src/client/lost-stream.ts'
import { errorToStatus } from '../../../agent-sdk/src/wire/status-codec.ts'

const CODES = Object.values(status).filter((code) => typeof code === 'number')
/** As a transport or a proxy says it. */
const plain = (code: number) =>
  Object.assign(new Error('x'), { code, details: 'x', metadata: new Metadata() })
/** As the gateway says it. */
const said = (code: ErrorCode, facts = {}) =>
  Object.assign(new Error('x'), errorToStatus(new MeshError(code, undefined, { facts })))

describe('a stream that broke', () => {
  const lost = (started: boolean) =>
    CODES.filter((code) => judgeStreamError(plain(code), started).lost)

  it('before an answer is lost by the codes that connections end with, and no other', () => {
    assert.deepEqual(lost(false), [status.CANCELLED, status.INTERNAL, status.UNAVAILABLE])
  })

  it('in the middle of an answer is lost by two more', () => {
    assert.deepEqual(lost(true), [
      ...[status.CANCELLED, status.UNKNOWN, status.DEADLINE_EXCEEDED],
      ...[status.INTERNAL, status.UNAVAILABLE],
    ])
  })

  it('by what is no status is judged by its code', () => {
    const silent = new MeshError('MESH_PEER_LOST')
    assert.deepEqual(judgeStreamError(silent, true), { error: silent, lost: true })
    assert.equal(judgeStreamError(new MeshError('MESH_PEER_PROTOCOL'), true).lost, false)
    const strange = judgeStreamError(new TypeError('x'), true)
    assert.deepEqual([strange.error.code, strange.lost], ['MESH_PEER_PROTOCOL', false])
    const bare = judgeStreamError(Object.assign(new Error('x'), { code: 14 }), true)
    assert.deepEqual([bare.error.code, bare.lost], ['MESH_PEER_PROTOCOL', false])
  })

  it('with details is judged by those: what may pass is waited for, before a task has begun only what has not arrived', () => {
    const judge = (code: ErrorCode, started: boolean) => judgeStreamError(said(code), started)
    assert.equal(judge('MESH_PEER_DRAINING', false).error.code, 'MESH_PEER_DRAINING')
    const unavailable = new MeshError('MESH_PEER_DRAINING').row
    assert.deepEqual([unavailable.retryable, unavailable.grpc], [true, 'UNAVAILABLE'])
    assert.equal(judge('MESH_PEER_DRAINING', false).lost, true)
    const exhausted = new MeshError('MESH_LIMIT_CONCURRENCY').row
    assert.deepEqual([exhausted.retryable, exhausted.grpc], [true, 'RESOURCE_EXHAUSTED'])
    assert.equal(judge('MESH_LIMIT_CONCURRENCY', false).lost, false)
    assert.equal(judge('MESH_LIMIT_CONCURRENCY', true).lost, true)
    for (const started of [true, false])
      assert.equal(judge('MESH_POLICY_NOT_ALLOWED', started).lost, false)
  })

  it('because it was cut goes on, and so does what is refused after that, unless it is final', () => {
    const cut = said('MESH_POLICY_NOT_ALLOWED', { resume: 'watch' })
    assert.equal(judgeStreamError(cut, false).lost, true)
    const expired = said('MESH_IDENTITY_EXPIRED')
    assert.equal(judgeStreamError(expired, true).lost, false)
    assert.equal(judgeStreamError(expired, true, true).lost, true)
    assert.equal(judgeStreamError(said('MESH_POLICY_NOT_ALLOWED'), true, true).lost, false)
  })

  it('was cut when the gateway says that Watch goes on', () => {
    assert.equal(isCut(new MeshError('MESH_PEER_LOST')), false)
    const facts = (resume: string) => ({ facts: { resume } })
    assert.equal(isCut(new MeshError('MESH_PEER_LOST', undefined, facts('watch'))), true)
    assert.equal(isCut(new MeshError('MESH_PEER_LOST', undefined, facts('never'))), false)
  })
})
