/** Rows of a file that somebody else may have written: each column is judged. */
import assert from 'node:assert/strict'
import {
  againOf,
  bytesOf,
  integerOf,
  recordOf,
  textOf,
} from '../../../../../agent-sdk/src/tasks/store/sqlite/rows.ts'

const ROW = {
  ...{ caller: 'c', id: 'i', number: 1, idempotency_key: null, content_hash: 'h', skill: 's' },
  ...{ labels: '{"a":"b"}', detached: 1, tree: null, deadline_ms: null, created_ms: 1 },
  ...{ updated_ms: 2, ended_ms: null, state: 'working', last_seq: 3, failure: null },
  inputs: '[]',
}
const FAILURE = { state: 'failed', code: 'X', message: 'm', retryable: true }
const corrupt = { code: 'MESH_TASK_STORE_CORRUPT' }

describe('a row of a task store', () => {
  it('is the record that was written, with what may be absent and without', () => {
    assert.deepEqual(recordOf(ROW), {
      ...{ caller: 'c', id: 'i', number: 1, idempotencyKey: null, contentHash: 'h', skill: 's' },
      ...{ labels: { a: 'b' }, detached: true, tree: null, deadlineMs: null, createdMs: 1 },
      ...{ updatedMs: 2, endedMs: null, state: 'working', lastSeq: 3, failure: null, inputs: [] },
    })
    const inputs = [
      { id: '1', answerHash: null, askedMs: 5 },
      { id: '2', answerHash: 'h' },
    ]
    const full = recordOf({
      ...{ ...ROW, idempotency_key: 'k', tree: 't', deadline_ms: 4, ended_ms: 5, detached: 0 },
      ...{ state: 'failed', failure: JSON.stringify({ ...FAILURE, hint: 'try' }) },
      inputs: JSON.stringify(inputs),
    })
    assert.deepEqual(
      [full.idempotencyKey, full.tree, full.deadlineMs, full.endedMs, full.detached],
      ['k', 't', 4, 5, false],
    )
    assert.deepEqual(full.failure, { ...FAILURE, hint: 'try' })
    assert.deepEqual(full.inputs, inputs)
    const plain = recordOf({ ...ROW, failure: JSON.stringify({ ...FAILURE, retryable: 1 }) })
    assert.deepEqual(plain.failure, { ...FAILURE, retryable: false })
  })

  const states = [
    ...['submitted', 'working', 'input-required', 'auth-required', 'completed'],
    ...['failed', 'canceled', 'rejected', 'expired', 'orphaned'],
  ]
  it('is in one of ten states, and a failure in one of five', () => {
    for (const state of states) assert.equal(recordOf({ ...ROW, state }).state, state)
    const failed = (state: unknown) =>
      recordOf({ ...ROW, failure: JSON.stringify({ ...FAILURE, state }) }).failure?.state
    for (const state of states.slice(5)) assert.equal(failed(state), state)
    for (const state of [...states.slice(0, 5), 'lost', undefined, 5])
      assert.throws(() => failed(state), corrupt, String(state))
  })

  const wrong: Record<string, readonly unknown[]> = {
    caller: [null, 5, undefined],
    number: [null, '1', 1.5, undefined],
    idempotency_key: [5],
    labels: [null, '', '{', '[', 'null', '5', '{"a":5}'],
    detached: [null, 'x'],
    tree: [5],
    deadline_ms: ['1'],
    ended_ms: ['1', 1.5],
    state: [null, '', 'lost'],
    last_seq: [null, '3'],
    failure: ['', 'null', '5', '{}', JSON.stringify({ ...FAILURE, code: 5 })],
    inputs: [null, '{}', '[5]', '[null]', '[{"id":5,"answerHash":null}]', '[{"id":"1"}]'],
  }
  for (const [column, values] of Object.entries(wrong))
    it(`is refused where ${column} is not as it should be`, () => {
      for (const value of values)
        assert.throws(() => recordOf({ ...ROW, [column]: value }), corrupt, String(value))
    })

  it('of a failure is refused where its message or its hint is no text', () => {
    for (const more of [{ message: 5 }, { message: undefined }, { hint: 5 }, { hint: null }])
      assert.throws(
        () => recordOf({ ...ROW, failure: JSON.stringify({ ...FAILURE, ...more }) }),
        corrupt,
      )
  })

  it('that is none has no columns', () => {
    for (const read of [integerOf, textOf, bytesOf])
      assert.throws(() => read(undefined, 'x'), corrupt)
    assert.throws(() => bytesOf({ x: 'text' }, 'x'), corrupt)
    const bytes = new Uint8Array([1, 2, 3]).subarray(1)
    assert.deepEqual([...bytesOf({ x: bytes }, 'x')], [2, 3])
  })

  it('of a beginning tells how the task is run again', () => {
    const row = {
      ...{ request: Buffer.from('r'), traceparent: null, delegation_token: null },
      ...{ saved: null, asked: 1, runs: 2 },
    }
    assert.deepEqual(againOf(row), {
      beginning: { request: Buffer.from('r'), traceparent: null, delegationToken: null },
      checkpoint: { saved: null, asked: 1, runs: 2 },
    })
    const full = againOf({ ...row, traceparent: 't', delegation_token: 'd', saved: '{}' })
    assert.deepEqual(
      [full.beginning.traceparent, full.beginning.delegationToken, full.checkpoint.saved],
      ['t', 'd', '{}'],
    )
    for (const column of Object.keys(row))
      assert.throws(() => againOf({ ...row, [column]: 1.5 }), corrupt, column)
  })
})
