/** What a skill tells by its context, and what the context refuses. */
import assert from 'node:assert/strict'
import { type Log, silentLog } from '@clawmesh/agent-sdk'
import { NO_HISTORY } from '../../../agent-sdk/src/tasks/history.ts'
import { createQuestions } from '../../../agent-sdk/src/tasks/questions.ts'
import { createTaskContext, withFields } from '../../../agent-sdk/src/tasks/skill-context.ts'
import { CALLER, startOneTask } from './one-task.ts'

describe('the context of a skill', () => {
  const open = (saved?: string | null) => {
    const task = startOneTask({
      task: {
        detached: true,
        beginning: { request: Buffer.from(''), traceparent: null, delegationToken: null },
      },
    })
    const { live } = task
    const questions = createQuestions({ live, timeoutMs: 1e6, now: Date.now, flush: () => {} })
    const ctx = createTaskContext(
      live,
      questions,
      saved === undefined ? null : { history: NO_HISTORY, saved },
      {
        signal: live.signal,
        fetch: () => assert.fail(),
        delegate: () => assert.fail(),
        enter: () => assert.fail(),
        traceparent: '',
        log: silentLog,
      },
    )
    const save = () => {
      task.live.interrupt()
      return task.store.takeLeft()[0]?.again?.checkpoint.saved
    }
    return { ...task, ctx, questions, save }
  }

  it('tells progress between 0 and 1, and no number that is none', () => {
    const { ctx, told } = open()
    for (const fraction of [-1, 0, 0.5, 1, 7, Number.POSITIVE_INFINITY]) ctx.progress(fraction, 'n')
    assert.deepEqual(
      told().map((body) => body.kind === 'progress' && [body.fraction, body.note]),
      [0, 0, 0.5, 1, 1, 1].map((fraction) => [fraction, 'n']),
    )
    assert.throws(() => ctx.progress(Number.NaN), TypeError)
    ctx.progress(0.5)
    const last = told().at(-1)
    assert.ok(last?.kind === 'progress' && last.note === '')
  })

  it('tells a long message in pieces, what it does in the state that the task has, and what it used', () => {
    const { ctx, live, told } = open()
    const text = 'x'.repeat(1_500_000)
    ctx.message(text)
    live.emit({ kind: 'message', text: '' }, { state: 'working' })
    ctx.status('reading')
    ctx.usage({ tokens: 12 })
    const bodies = told()
    assert.deepEqual(
      bodies.map(({ kind }) => kind),
      ['message', 'message', 'message', 'status', 'usage'],
    )
    assert.equal(bodies.map((body) => (body.kind === 'message' ? body.text : '')).join(''), text)
    assert.deepEqual(bodies[3], { kind: 'status', state: 'working', note: 'reading' })
    assert.deepEqual(bodies[4], { kind: 'usage', amounts: { tokens: 12 } })
  })

  it('sends an artifact by a name that is used once, of 1 to 255 characters', async () => {
    const { ctx, told } = open()
    const longest = 'n'.repeat(255)
    for (const name of ['', `${longest}n`])
      await assert.rejects(ctx.artifact(name, 'x'), /name is empty or too long/)
    await ctx.artifact(longest, 'x')
    await assert.rejects(ctx.artifact(longest, 'x'), /was used before/)
    await ctx.artifact('typed', 'x', { mediaType: 'text/plain' })
    assert.deepEqual(
      told().map((body) => body.kind === 'artifact' && [body.name, body.mediaType]),
      [
        [longest, 'application/octet-stream'],
        ['typed', 'text/plain'],
      ],
    )
  })

  it('asks, and gives the answer as parts, text and JSON', async () => {
    const { ctx, questions, told } = open()
    const asked = ctx.ask('which one?')
    questions.answer(
      '1',
      [
        { kind: 'text', text: 'this one' },
        { kind: 'json', json: 5 },
      ],
      'hash',
    )
    const answer = await asked
    assert.deepEqual([answer.text(), answer.json(), answer.parts.length], ['this one', 5, 2])
    const [question] = told()
    assert.ok(question?.kind === 'input-required' && question.question[0]?.kind === 'text')
  })

  it('knows whether it runs again, and from where', () => {
    const first = open()
    assert.deepEqual([first.ctx.resumed, first.ctx.saved], [false, undefined])
    const again = open('{"page":2}')
    assert.deepEqual([again.ctx.resumed, again.ctx.saved], [true, { page: 2 }])
    const nothing = open(null)
    assert.deepEqual([nothing.ctx.resumed, nothing.ctx.saved], [true, undefined])
  })

  it('saves JSON of 1 MiB at most, and what is no JSON not at all', async () => {
    const most = 1024 * 1024
    const fits = open()
    await fits.ctx.checkpoint('x'.repeat(most - 2))
    assert.equal(fits.save()?.length, most)
    const larger = open()
    await assert.rejects(
      larger.ctx.checkpoint('x'.repeat(most - 1)),
      /is larger than 1048576 bytes/,
    )
    await assert.rejects(larger.ctx.checkpoint('ä'.repeat(most / 2)), TypeError)
    for (const state of [undefined, () => {}, Symbol('x')])
      await assert.rejects(larger.ctx.checkpoint(state), /checkpoint: is not JSON/)
    assert.equal(larger.save(), null)
  })

  it('a checkpoint resolves when it is on disk', async () => {
    let flushed = false
    const task = startOneTask({
      store: (inner) => ({
        ...inner,
        flush() {
          flushed = true
        },
      }),
    })
    const questions = createQuestions({
      ...{ live: task.live, timeoutMs: 1e6, now: Date.now, flush: () => {} },
    })
    const ctx = createTaskContext(task.live, questions, null, {
      ...{ signal: task.live.signal, traceparent: '', log: silentLog },
      ...{ fetch: () => assert.fail(), delegate: () => assert.fail(), enter: () => assert.fail() },
    })
    await ctx.checkpoint({})
    assert.equal(flushed, true)
    task.live.interrupt()
  })

  it('rejects with the words of the skill', () => {
    const { ctx, store } = open()
    assert.throws(() => ctx.reject('not my work'), {
      code: 'MESH_TASK_REJECTED',
      message: 'not my work',
    })
    assert.equal(store.get(CALLER, 'one')?.endedMs, null, 'the error ends it, once it is thrown')
  })
})

describe('a log with fields', () => {
  it('carries them on every level; a line may have its own', () => {
    const lines: object[] = []
    const write = (level: string) => (fields: object, message: string) =>
      void lines.push({ level, fields, message })
    const log: Log = {
      ...{ debug: write('debug'), info: write('info') },
      ...{ warn: write('warn'), error: write('error') },
    }
    const more = withFields(log, { id: 'one', skill: 's' })
    for (const level of ['debug', 'info', 'warn', 'error'] as const)
      more[level]({ n: 1, skill: 'other' }, 'm')
    assert.deepEqual(
      lines,
      ['debug', 'info', 'warn', 'error'].map((level) => ({
        ...{ level, fields: { id: 'one', skill: 'other', n: 1 }, message: 'm' },
      })),
    )
  })

  it('is the silent one where that is given', () => {
    assert.equal(withFields(silentLog, { id: 'one' }), silentLog)
  })
})
