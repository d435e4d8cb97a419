/** What a task asks its caller, in its order, over runs of the skill. */
import assert from 'node:assert/strict'
import { mock } from 'node:test'
import type { Part } from '../../../agent-sdk/src/model/part.ts'
import type { TaskInput } from '../../../agent-sdk/src/model/task-store.ts'
import { checkAnswer, createQuestions } from '../../../agent-sdk/src/tasks/questions.ts'
import { START_MS, startOneTask } from './one-task.ts'

const text = (words: string): readonly Part[] => [{ kind: 'text', text: words }]
const TIMEOUT_MS = 1_000

describe('the questions of a task', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
  afterEach(() => mock.timers.reset())

  const start = (before?: (task: ReturnType<typeof startOneTask>) => void) => {
    const task = startOneTask({ task: { detached: true } })
    before?.(task)
    const flushes: number[] = []
    const questions = createQuestions({
      ...{ live: task.live, timeoutMs: TIMEOUT_MS, now: () => task.clock.ms },
      flush: () => void flushes.push(task.live.record().lastSeq),
    })
    return { ...task, questions, flushes, state: () => task.live.record().state }
  }

  it('are numbered, wait for their answers in any order, and the task works on when none is open', async () => {
    const { questions, live, state, told, flushes } = start()
    const one = questions.ask(text('one?'))
    const two = questions.ask(text('two?'))
    assert.equal(state(), 'input-required')
    questions.answer('2', text('two'), 'h2')
    assert.deepEqual(await two, text('two'))
    assert.equal(state(), 'input-required', 'the first one is open')
    questions.answer('1', text('one'), 'h1')
    assert.deepEqual(await one, text('one'))
    assert.equal(state(), 'working')
    assert.deepEqual(
      told().map((body) => ('inputId' in body ? `${body.kind} ${body.inputId}` : body.kind)),
      ['input-required 1', 'input-required 2', 'input-received 2', 'input-received 1'],
    )
    assert.deepEqual(flushes, [3, 4], 'written before anybody acts on them')
    assert.deepEqual(
      live.record().inputs.map(({ id, answerHash, askedMs }) => [id, answerHash, askedMs]),
      [
        ['1', 'h1', START_MS],
        ['2', 'h2', START_MS],
      ],
    )
  })

  it('answered again in the same way change nothing', async () => {
    const { questions, live } = start()
    void questions.ask(text('one?'))
    questions.answer('1', text('yes'), 'h')
    const { lastSeq } = live.record()
    questions.answer('1', text('yes'), 'h')
    assert.equal(live.record().lastSeq, lastSeq)
  })

  it('end with the task: those that wait, and those that come later, with its reason', async () => {
    const { questions, live } = start()
    const asked = questions.ask(text('one?'))
    live.fail({ state: 'canceled', code: 'X', message: 'm', retryable: false })
    await assert.rejects(asked, { code: 'MESH_TASK_CANCELED' })
    await assert.rejects(questions.ask(text('two?')), { code: 'MESH_TASK_CANCELED' })
  })

  it('are a thousand at most', async () => {
    const { questions } = start()
    questions.recall(999, new Map())
    void questions.ask(text('the last one?')).catch((error: unknown) => assert.fail(String(error)))
    await new Promise(setImmediate)
    await assert.rejects(questions.ask(text('one more?')), { code: 'MESH_LIMIT_SIZE' })
  })

  describe('without an answer', () => {
    it('end the task when the first one that is open has waited for its time', async () => {
      const { questions, live, clock, ends } = start()
      const one = questions.ask(text('one?'))
      clock.ms += 500
      mock.timers.tick(500)
      questions.ask(text('two?')).catch(() => {})
      questions.answer('1', text('yes'), 'h')
      await one
      clock.ms += 999
      mock.timers.tick(999)
      assert.equal(live.ended(), false, 'the second one was asked later')
      clock.ms += 1
      mock.timers.tick(1)
      const { state, failure } = live.record()
      assert.deepEqual([state, failure?.code], ['expired', 'MESH_TASK_INPUT_EXPIRED'])
      assert.equal(ends.length, 1)
    })

    it('are waited for no longer because another one is asked', async () => {
      const { questions, live, clock } = start()
      questions.ask(text('one?')).catch(() => {})
      clock.ms += 500
      mock.timers.tick(500)
      questions.ask(text('two?')).catch(() => {})
      mock.timers.tick(500)
      assert.equal(live.record().failure?.code, 'MESH_TASK_INPUT_EXPIRED')
    })

    it('count over restarts, from when they were asked; of an older version, from the last change', () => {
      for (const askedMs of [{ askedMs: START_MS - 400 }, {}]) {
        const { live } = start((task) => {
          const inputs: TaskInput[] = [{ id: '1', answerHash: null, ...askedMs }]
          task.live.emit({ kind: 'message', text: '' }, { state: 'input-required', inputs })
        })
        mock.timers.tick('askedMs' in askedMs ? 599 : 999)
        assert.equal(live.ended(), false)
        mock.timers.tick(1)
        assert.equal(live.record().state, 'expired')
      }
    })

    it('end nothing once they were answered, or the task runs here no more', () => {
      const answered = start()
      void answered.questions.ask(text('one?'))
      answered.questions.answer('', text('yes'), 'h')
      const closed = start()
      closed.questions.ask(text('one?')).catch(() => {})
      closed.questions.close()
      mock.timers.tick(10 * TIMEOUT_MS)
      assert.deepEqual([answered.live.ended(), closed.live.ended()], [false, false])
    })
  })

  describe('of a skill that is run again', () => {
    it('are not asked twice: an answer that has come is given at once', async () => {
      const { questions, live } = start()
      questions.recall(1, new Map([['2', text('two')]]))
      assert.deepEqual(await questions.ask(text('two?')), text('two'))
      assert.equal(live.record().lastSeq, 0)
    })

    it('that are open stay open, and the task says that it waits', async () => {
      for (const state of ['working', 'input-required'] as const) {
        const { questions, live, told } = start((task) => {
          const inputs: TaskInput[] = [{ id: '1', answerHash: null, askedMs: START_MS }]
          task.live.emit({ kind: 'message', text: '' }, { state, inputs })
        })
        const asked = questions.ask(text('one?'))
        assert.equal(live.record().state, 'input-required')
        const status = { kind: 'status' as const, state: 'input-required' as const, note: '' }
        assert.deepEqual(told().slice(1), state === 'working' ? [status] : [])
        questions.answer('1', text('yes'), 'h')
        assert.deepEqual(await asked, text('yes'))
      }
    })

    it('may be answered before the skill comes to them', async () => {
      const { questions, live } = start((task) => {
        const inputs: TaskInput[] = [{ id: '1', answerHash: null, askedMs: START_MS }]
        task.live.emit({ kind: 'message', text: '' }, { state: 'input-required', inputs })
      })
      questions.answer('1', text('early'), 'h')
      assert.equal(live.record().state, 'working')
      assert.deepEqual(await questions.ask(text('one?')), text('early'))
    })
  })
})

describe('an answer', () => {
  const check = (
    inputs: readonly TaskInput[],
    inputId: string,
    { hash = 'h', ended = false } = {},
  ) => {
    const { live } = startOneTask({ task: { detached: true } })
    live.emit({ kind: 'message', text: '' }, { inputs })
    if (ended) live.complete([])
    return checkAnswer(live.record(), inputId, hash)?.id ?? null
  }
  const open = (id: string): TaskInput => ({ id, answerHash: null, askedMs: START_MS })
  const answered = (id: string): TaskInput => ({ ...open(id), answerHash: 'h' })
  const unexpected = { code: 'MESH_TASK_INPUT_UNEXPECTED' }

  it('names its question, or goes to the only one that is open', () => {
    assert.equal(check([open('1'), open('2')], '2'), '2')
    assert.equal(check([answered('1'), open('2')], ''), '2')
    assert.throws(() => check([open('1'), open('2')], ''), unexpected)
    assert.throws(() => check([open('1')], '3'), unexpected)
    assert.throws(() => check([], ''), unexpected)
    assert.throws(() => check([answered('1')], ''), unexpected)
  })

  it('given before is the same one or a conflict, whether or not the task has ended', () => {
    for (const ended of [true, false]) {
      assert.equal(check([answered('1'), open('2')], '1', { ended }), null)
      assert.throws(() => check([answered('1')], '1', { hash: 'other', ended }), {
        code: 'MESH_TASK_CONFLICT',
      })
    }
  })

  it('to a task that has ended comes too late', () => {
    assert.throws(() => check([open('1')], '1', { ended: true }), unexpected)
  })
})
