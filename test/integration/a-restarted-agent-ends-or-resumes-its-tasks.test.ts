/** What becomes of tasks when the agent that runs them is closed or replaced: resumed where the skill says so, ended where not. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Agent,
  createSqliteTaskStore,
  type ServeOptions,
  type TaskStore,
} from '@clawmesh/agent-sdk'
import { type StandInMesh, startStandInMesh } from '../agent-sdk/stand-in/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

describe('a restarted agent ends or resumes its tasks', () => {
  let mesh: StandInMesh
  let dir: string
  let store: TaskStore
  let files = 0
  const runs: string[] = []

  before(async () => {
    mesh = await startStandInMesh()
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-restart-'))
  })
  afterEach(() => store.close())
  after(async () => {
    await mesh.close()
    await rm(dir, { recursive: true })
  })

  const skills: ServeOptions['skills'] = {
    async waits(_task, ctx) {
      runs.push('waits')
      ctx.message('waiting')
      await once(ctx.signal, 'abort')
    },
    resumes: {
      resume: true,
      async run(task, ctx) {
        runs.push(ctx.resumed ? 'resumes again' : 'resumes')
        if (!ctx.resumed) {
          ctx.message('first')
          await ctx.checkpoint({ done: 'first' })
          ctx.message('waiting')
          await once(ctx.signal, 'abort')
        }
        assert.deepEqual(ctx.saved, { done: 'first' })
        ctx.message('second')
        return task.text()
      },
    },
    asks: {
      resume: true,
      async run(_task, ctx) {
        runs.push('asks')
        const one = await ctx.ask('one?')
        const two = await ctx.ask('two?')
        return `${one.text()} ${two.text()}`
      },
    },
    sends: {
      resume: true,
      async run(task, ctx) {
        const whole = Buffer.alloc(2_500_000, 'abc')
        const before = await ctx.artifact('before', 'all of it')
        async function* pieces() {
          yield whole.subarray(0, 1_200_000)
          yield whole.subarray(1_200_000, 1_500_000)
          if (!ctx.resumed) {
            ctx.message('waiting')
            await once(ctx.signal, 'abort')
          }
          yield task.text() === 'other' ? Buffer.alloc(1_000_000) : whole.subarray(1_500_000)
        }
        const changed = task.text() === 'changed' && ctx.resumed
        const { sha256 } = await ctx.artifact('whole', changed ? whole.subarray(1) : pieces())
        return `${before.sha256} ${sha256}`
      },
    },
    crashes: {
      resume: true,
      async run(_task, ctx) {
        ctx.message('waiting')
        await once(ctx.signal, 'abort')
      },
    },
  }
  const begin = (options: Partial<ServeOptions> = {}) => {
    files += 1
    store = createSqliteTaskStore({ file: join(dir, `${files}.db`) })
    return mesh.serve({ skills, taskStore: store, drainMs: 0, ...options })
  }
  /** As a new process finds it: nothing was ended in order. */
  const restart = async (options: Partial<ServeOptions> = {}) => {
    store.close()
    store = createSqliteTaskStore({ file: join(dir, `${files}.db`) })
    await mesh.serve({ skills, taskStore: store, drainMs: 0, ...options })
    mesh.gateway.breakConnections()
  }
  /** It may not have arrived yet. */
  const seqOf = async (agent: Agent, id: string) =>
    agent.get('b', id).then(
      ({ lastSeq }) => lastSeq,
      () => 0,
    )
  const waiting = async (id: string, events = 3, agent = mesh.a) =>
    waitFor('the skill to wait', async () => (await seqOf(agent, id)) >= events)

  it('a task that is not resumed ends as orphaned with its own code, and never runs again under its key', async () => {
    await begin()
    runs.length = 0
    const ask = () => mesh.a.delegate('b', { skill: 'waits', idempotencyKey: 'k' })
    const task = ask()
    await waiting(task.id)
    await restart()
    await assert.rejects(task.result(), { code: 'MESH_TASK_INTERRUPTED' })
    const { state, failure } = await mesh.a.get('b', task.id)
    assert.deepEqual([state, failure?.retryable], ['orphaned', false])
    await assert.rejects(ask().result(), { code: 'MESH_TASK_INTERRUPTED' })
    assert.deepEqual(runs, ['waits'])
  })

  it('a skill that is resumed goes on where it saved; its caller sees each event once', async () => {
    const serving = await begin()
    runs.length = 0
    const task = mesh.a.delegate('b', { skill: 'resumes', input: 'done' })
    const told: string[] = []
    let again: Promise<unknown> = Promise.resolve()
    for await (const event of task) {
      if (event.kind !== 'message') continue
      told.push(event.text)
      if (event.text === 'waiting') again = serving.close().then(() => restart())
    }
    await again
    assert.deepEqual(told, ['first', 'waiting', 'second'])
    assert.equal((await task.result()).text(), 'done')
    assert.deepEqual(runs, ['resumes', 'resumes again'])
  })

  it('questions that were answered are not asked again, and one that is open stays open', async () => {
    await begin()
    runs.length = 0
    const task = mesh.a.delegate('b', { skill: 'asks' })
    const questions: string[] = []
    for await (const event of task) {
      if (event.kind !== 'input-required') continue
      questions.push(event.inputId)
      if (event.inputId === '1') await task.sendInput('one')
      else {
        await restart()
        // at once: the skill may not have come to its question yet
        await task.sendInput('two')
      }
    }
    assert.deepEqual(questions, ['1', '2'])
    assert.equal((await task.result()).text(), 'one two')
    assert.deepEqual(runs, ['asks', 'asks'])
  })

  it('an artifact goes on in the middle, and one that is whole is not sent again', async () => {
    await begin()
    const task = mesh.a.delegate('b', { skill: 'sends' })
    const chunks: string[] = []
    for await (const event of task) {
      if (event.kind === 'artifact') chunks.push(`${event.name} ${event.index} ${event.last}`)
      if (event.kind === 'message') await restart()
    }
    const { artifacts } = await task.result()
    assert.ok(
      Buffer.alloc(2_500_000, 'abc').equals(artifacts.get('whole')?.bytes ?? Buffer.alloc(0)),
    )
    assert.equal(new Set(chunks).size, chunks.length)
    assert.equal(chunks.filter((chunk) => chunk.startsWith('before')).length, 1)
  })

  it('an artifact that is not the same when it is made again fails the task', async () => {
    await begin()
    const task = mesh.a.delegate('b', { skill: 'sends', input: 'changed' })
    for await (const event of task) {
      if (event.kind !== 'message') continue
      await restart()
      break
    }
    await assert.rejects(task.result(), { code: 'MESH_TASK_ARTIFACT_CHANGED' })
  })

  it('a skill that takes its process down again and again is given up', async () => {
    await begin()
    const task = mesh.a.delegate('b', { skill: 'crashes' })
    task.result().catch(() => {})
    await waiting(task.id)
    for (let i = 0; i < 6; i += 1) await restart()
    await assert.rejects(task.result(), { code: 'MESH_TASK_INTERRUPTED' })
  })

  it('one whose deadline passed meanwhile has expired; one whose caller does not come back is orphaned', async () => {
    await begin()
    const caller = await mesh.agent('c', { patience: { idleMs: 100, giveUpMs: 1 } })
    const begun = Date.now()
    // long enough for a busy machine to begin both
    const deadlineMs = 3_000
    const late = caller.delegate('b', { skill: 'crashes', deadlineMs })
    const left = caller.delegate('b', { skill: 'crashes' })
    for (const task of [late, left]) task.result().catch(() => {})
    await waiting(late.id, 3, caller)
    await waiting(left.id, 3, caller)
    store.close()
    mesh.gateway.breakConnections()
    await caller.close()
    await waitFor('the deadline', () => Date.now() > begun + deadlineMs)
    await restart({ orphanGraceMs: 100 })
    const again = await mesh.agent('c')
    assert.equal((await again.get('b', late.id)).state, 'expired')
    await waitFor('the orphan', async () => (await again.get('b', left.id)).state === 'orphaned')
  })

  it('closed in order: what is resumed is left for the next one, the rest is cancelled', async () => {
    const serving = await begin()
    const kept = mesh.a.delegate('b', { skill: 'resumes', input: 'kept' })
    const ended = mesh.a.delegate('b', { skill: 'waits' })
    await waiting(kept.id, 4)
    await waiting(ended.id)
    await serving.close()
    assert.equal(store.get(mesh.a.identity.id, kept.id)?.endedMs, null)
    await assert.rejects(ended.result(), { code: 'MESH_TASK_CANCELED' })
    await mesh.serve({ skills, taskStore: store, drainMs: 0 })
    assert.equal((await kept.result()).text(), 'kept')
  })
})
