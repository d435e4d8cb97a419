/** How a skill ends is how its task ends; and what a run says to the log. */
import assert from 'node:assert/strict'
import type { Log, Skill } from '@clawmesh/agent-sdk'
import { createSpiffeTemplate, MeshError } from '@clawmesh/proto'
import { createQuestions } from '../../../agent-sdk/src/tasks/questions.ts'
import { runTask } from '../../../agent-sdk/src/tasks/run-task.ts'
import type { Task } from '../../../agent-sdk/src/tasks/skill.ts'
import { startOneTask } from './one-task.ts'

const caller = createSpiffeTemplate({ trustDomain: 'mesh.internal' }).agent('acme', 'a')
const TASK: Task = {
  ...{ id: 'one', skill: 's', input: [], caller, labels: {}, chain: null, deadline: null },
  ...{ text: () => '', json: () => undefined },
}

describe('a run of a skill', () => {
  const run = async (
    skill: Skill,
    checkpoint: Parameters<typeof runTask>[0]['checkpoint'] = null,
    before: (task: ReturnType<typeof startOneTask>) => void = () => {},
  ) => {
    const task = startOneTask({ task: { detached: true } })
    before(task)
    const { live, store } = task
    const lines: { level: string; fields: object; text: string }[] = []
    const write = (level: string) => (fields: object, text: string) =>
      void lines.push({ level, fields, text })
    const log: Log = {
      ...{ debug: write('debug'), info: write('info') },
      ...{ warn: write('warn'), error: write('error') },
    }
    const questions = createQuestions({ live, timeoutMs: 1e6, now: Date.now, flush: () => {} })
    let entered = 0
    await runTask(
      { skill, task: TASK, live, questions, checkpoint },
      {
        ...{ store, log },
        outward: () => ({
          signal: live.signal,
          fetch: () => assert.fail(),
          delegate: () => assert.fail(),
          traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
          enter(work) {
            entered += 1
            return work()
          },
        }),
      },
    )
    questions.close()
    return { ...task, lines, entered, record: live.record() }
  }

  it('that returns ends the task with what it returned; that it runs is told first', async () => {
    const { record, told, entered, lines } = await run(() => ({ n: 1 }))
    assert.deepEqual([record.state, entered, lines.length], ['completed', 1, 0])
    const [first, last] = told()
    assert.deepEqual(first, { kind: 'status', state: 'working', note: '' })
    assert.ok(last?.kind === 'result' && last.piece.output[0]?.json === '{"n":1}')
  })

  it('that throws ends the task as failed, and its words stay in the log', async () => {
    const fault = new Error('a secret')
    const { record, lines } = await run(() => {
      throw fault
    })
    assert.deepEqual([record.state, record.failure?.code], ['failed', 'MESH_TASK_FAILED'])
    assert.doesNotMatch(record.failure?.message ?? '', /secret/)
    const [line] = lines
    assert.equal(line?.level, 'error')
    assert.deepEqual(line.fields, {
      ...{ delegation_id: 'one', skill: 's', caller: caller.id, err: fault },
      trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
    })
  })

  it('that throws a MeshError chooses the code, and a rejection is one', async () => {
    const chosen = await run(() => {
      throw new MeshError('MESH_LIMIT_SIZE', 'too much')
    })
    assert.deepEqual(
      [chosen.record.state, chosen.record.failure?.code, chosen.record.failure?.message],
      ['failed', 'MESH_LIMIT_SIZE', 'too much'],
    )
    assert.equal(chosen.lines.length, 0)
    const rejected = await run((_task, ctx) => ctx.reject('not my work'))
    assert.deepEqual(
      [rejected.record.state, rejected.record.failure?.message],
      ['rejected', 'not my work'],
    )
  })

  it('that finds the store full is a warning to the operator', async () => {
    const { record, lines } = await run(() => {
      throw new MeshError('MESH_TASK_STORE_FULL')
    })
    assert.equal(record.failure?.code, 'MESH_TASK_STORE_FULL')
    assert.deepEqual(
      lines.map(({ level }) => level),
      ['warn'],
    )
  })

  it('that throws after the end of its task changes nothing', async () => {
    const { record, lines } = await run((_task, ctx) => {
      throw ctx.signal.aborted ? new Error('aborted') : new Error('late')
    }, null)
    assert.equal(record.state, 'failed')
    assert.equal(lines.length, 1)
    const ended = await run(
      () => assert.fail('it does not begin'),
      null,
      ({ live }) => live.fail({ state: 'canceled', code: 'X', message: 'm', retryable: false }),
    )
    assert.equal(ended.record.state, 'canceled')
    assert.deepEqual(
      ended.lines.map(({ level }) => level),
      ['debug'],
    )
    assert.equal(ended.entered, 0)
  })

  it('that is run again says so, and has what was saved, answered and sent', async () => {
    let seen: unknown
    const answer = [{ kind: 'text' as const, text: 'yes' }]
    const { told, record } = await run(
      async (_task, ctx) => {
        seen = [ctx.resumed, ctx.saved, (await ctx.ask('sure?')).text()]
      },
      { saved: '{"page":2}', asked: 1, runs: 1 },
      ({ live }) => {
        const inputs = [
          { id: '1', answerHash: 'h' },
          { id: '2', answerHash: 'h' },
        ]
        live.emit({ kind: 'input-received', inputId: '2', answer }, { inputs })
      },
    )
    assert.deepEqual(seen, [true, { page: 2 }, 'yes'])
    assert.deepEqual(told()[1], { kind: 'status', state: 'working', note: 'resumed' })
    assert.equal(record.state, 'completed')
    const nothing = await run(
      (_task, ctx) => {
        seen = [ctx.resumed, ctx.saved]
        return undefined
      },
      { saved: null, asked: 0, runs: 1 },
    )
    assert.deepEqual(seen, [true, undefined])
    assert.equal(nothing.record.state, 'completed')
  })
})
