import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import { hasEnded, type TaskState } from '../../../agent-sdk/src/model/task-event.ts'
import { failureOf, infoOf, sizeOf } from '../../../agent-sdk/src/tasks/task-info.ts'
import { START_MS, startOneTask } from './one-task.ts'

describe('what is told of a task', () => {
  it('of its failure: the code, the public words and whether another try may help', () => {
    const error = new MeshError('MESH_LIMIT_CONCURRENCY', 'too many', { hint: 'later' })
    assert.deepEqual(failureOf(error, 'rejected'), {
      ...{ state: 'rejected', code: 'MESH_LIMIT_CONCURRENCY', message: 'too many' },
      ...{ hint: 'later', retryable: true },
    })
    assert.equal(failureOf(new MeshError('MESH_TASK_FAILED'), 'failed').code, 'MESH_TASK_FAILED')
  })

  it('of its failure: a code of the skill, of 128 characters at most, but none of ours in its place', () => {
    const code = (own: string, outer: 'MESH_TASK_FAILED' | 'MESH_TASK_REJECTED') =>
      failureOf(new MeshError(outer, 'm', { facts: { code: own } }), 'failed').code
    assert.equal(code('QUOTA', 'MESH_TASK_FAILED'), 'QUOTA')
    assert.equal(code('x'.repeat(200), 'MESH_TASK_FAILED'), 'x'.repeat(128))
    assert.equal(code(`${'x'.repeat(127)}😀`, 'MESH_TASK_FAILED'), `${'x'.repeat(127)}\ufffd`)
    assert.equal(code('MESH_POLICY_NOT_ALLOWED', 'MESH_TASK_FAILED'), 'MESH_TASK_FAILED')
    assert.equal(code('QUOTA', 'MESH_TASK_REJECTED'), 'MESH_TASK_REJECTED')
  })

  it('of its state: its times, and the questions that are open, none of a task that has ended', () => {
    const { live, clock } = startOneTask({ task: { detached: true, labels: { a: 'b' } } })
    clock.ms += 10
    const inputs = [
      { id: '1', answerHash: 'h', askedMs: 1 },
      { id: '2', answerHash: null, askedMs: 1 },
    ]
    live.emit({ kind: 'message', text: '' }, { inputs })
    const info = infoOf(live.record())
    assert.deepEqual(info.pendingInputs, ['2'])
    assert.deepEqual(
      [info.created.getTime(), info.updated.getTime(), info.lastSeq, info.labels, info.failure],
      [START_MS, START_MS + 10, 1, { a: 'b' }, null],
    )
    live.complete([])
    assert.deepEqual(infoOf(live.record()).pendingInputs, [])
  })

  it('takes room in a message for its labels, its failure and its questions', () => {
    const { live } = startOneTask({ task: { detached: true, labels: { ab: 'cde', f: 'g' } } })
    assert.equal(sizeOf(live.record()), 512 + 3 * 7)
    live.emit({ kind: 'message', text: '' }, { inputs: [{ id: '1', answerHash: null }] })
    live.fail({ state: 'failed', code: 'X', message: 'four', retryable: false })
    assert.equal(sizeOf(live.record()), 512 + 3 * 11 + 8)
  })

  it('has ended in all states but four', () => {
    const states: readonly TaskState[] = [
      ...(['submitted', 'working', 'input-required', 'auth-required', 'completed'] as const),
      ...(['failed', 'canceled', 'rejected', 'expired', 'orphaned'] as const),
    ]
    assert.deepEqual(states.map(hasEnded), [
      ...[false, false, false, false, true],
      ...[true, true, true, true, true],
    ])
  })
})
