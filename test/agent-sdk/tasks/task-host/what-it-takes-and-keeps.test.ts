/** Which tasks a host takes, finds again, lists, ends and runs again. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createMemoryTaskStore, silentLog, type TaskStore } from '@clawmesh/agent-sdk'
import { createSpiffeTemplate, type MeshError, uuidV7 } from '@clawmesh/proto'
import { createServedSkills } from '../../../../agent-sdk/src/tasks/served-skills.ts'
import {
  createTaskHost,
  type TaskHostOptions,
  type TaskOrigin,
} from '../../../../agent-sdk/src/tasks/task-host.ts'
import type { TaskRequest } from '../../../../agent-sdk/src/wire/request-codec.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const caller = spiffe.agent('acme', 'a')
const NOWHERE: TaskOrigin = { traceparent: null, delegationToken: null }

describe('a host of tasks', () => {
  const stores: TaskStore[] = []
  let nowMs: number
  beforeEach(() => {
    nowMs = 1_000_000
  })
  afterEach(() => {
    for (const store of stores.splice(0)) store.close()
  })

  const open = (more: Partial<TaskHostOptions> = {}) => {
    const store = more.store ?? createMemoryTaskStore({ now: () => nowMs })
    stores.push(store)
    const trees: { token: string; revoke: (error: MeshError) => void; followed: boolean }[] = []
    const host = createTaskHost({
      onServing: () => {},
      ...{ store, storeStays: true, log: silentLog, now: () => nowMs },
      skills: createServedSkills(
        {
          quick: () => 'done',
          async waits(_task, ctx) {
            await once(ctx.signal, 'abort')
          },
          resumes: {
            resume: true,
            async run(_task, ctx) {
              if (!ctx.resumed) await once(ctx.signal, 'abort')
            },
          },
          async asks(_task, ctx) {
            return (await ctx.ask('sure?')).text()
          },
          asksAgain: { resume: true, run: async (_task, ctx) => (await ctx.ask('sure?')).text() },
        },
        silentLog,
      ),
      ...{ orphanGraceMs: 60_000, inputTimeoutMs: 60_000 },
      running: { maxRunning: 100, maxRunningPerTenant: 100, maxRunningPerCaller: 100 },
      identify: (id) => (id === caller.id ? caller : null),
      followTree(token, revoke) {
        const tree = { token, revoke, followed: true }
        trees.push(tree)
        return () => {
          tree.followed = false
        }
      },
      outward: (_origin, live) => ({
        ...{ signal: live.signal, fetch: () => assert.fail(), delegate: () => assert.fail() },
        ...{ traceparent: '', enter: (work) => work() },
      }),
      ...more,
    })
    const ask = (skill: string, request: Partial<TaskRequest> = {}, contentHash = 'h') => ({
      request: {
        ...{ id: uuidV7(), skill, input: [], idempotencyKey: null, deadline: null },
        ...{ detached: true, labels: {}, ...request },
      },
      ...{ contentHash, inputBytes: 0 },
    })
    const start = (skill: string, request: Partial<TaskRequest> = {}, origin = NOWHERE) =>
      host.delegate(caller, ask(skill, request), origin).id
    const until = async (id: string, good: (state: string) => boolean) => {
      while (!good(host.get(caller, id).state)) await new Promise(setImmediate)
      return host.get(caller, id)
    }
    const ended = (id: string) => until(id, (state) => !/submitted|working|required/.test(state))
    return { store, host, trees, ask, start, until, ended }
  }

  it('takes a task once, by its id and by its key, and no other one by the same', async () => {
    const { host, ask, start } = open()
    const id = start('quick', { idempotencyKey: 'key' })
    const again = (request: Partial<TaskRequest>, hash?: string) =>
      host.delegate(caller, ask('quick', request, hash), NOWHERE).id
    assert.equal(again({ id, idempotencyKey: 'key' }), id)
    assert.equal(again({ idempotencyKey: 'key' }), id, 'by its key alone')
    const conflict = { code: 'MESH_TASK_CONFLICT' }
    assert.throws(() => again({ id, idempotencyKey: 'key' }, 'other'), conflict)
    assert.throws(() => again({ idempotencyKey: 'key' }, 'other'), conflict)
    assert.throws(() => again({ id, idempotencyKey: 'another' }), conflict)
    assert.throws(() => again({ id }), conflict, 'it came with a key')
    const bare = start('quick')
    assert.equal(again({ id: bare }), bare)
    assert.throws(
      () => again({ id: bare, idempotencyKey: 'key' }),
      conflict,
      'that is another task',
    )
    const other = spiffe.agent('acme', 'other')
    assert.notEqual(host.delegate(other, ask('quick', { idempotencyKey: 'key' }), NOWHERE).id, id)
  })

  it('takes no task of a skill that there is not, that is over already, or when it is closing', async () => {
    const { host, start } = open()
    const unknown = { code: 'MESH_TASK_SKILL_UNKNOWN' }
    assert.throws(() => start('quik'), {
      ...unknown,
      message: 'the agent has no such skill; quick is one',
    })
    assert.throws(
      () => start('abc'),
      (error: Error) => !/is one/.test(error.message),
    )
    assert.throws(() => start('quick', { deadline: new Date(nowMs) }), {
      code: 'MESH_TASK_EXPIRED',
    })
    start('quick', { deadline: new Date(nowMs + 1) })
    await host.drain(0)
    assert.throws(() => start('quick'), { code: 'MESH_PEER_DRAINING', retryAfterMs: 1_000 })
  })

  it('shows a task to its caller from any event on that it has, and to nobody else', async () => {
    const { host, start, ended } = open()
    const id = start('quick')
    const { lastSeq } = await ended(id)
    for (const seq of [0, 1, lastSeq]) host.watch(caller, id, seq).close()
    for (const seq of [-1, 0.5, lastSeq + 1, Number.NaN])
      assert.throws(() => host.watch(caller, id, seq), { code: 'MESH_TASK_CURSOR_INVALID' })
    const other = spiffe.agent('acme', 'other')
    const none = { code: 'MESH_TASK_NOT_FOUND' }
    assert.throws(() => host.watch(other, id, 0), none)
    assert.throws(() => host.get(other, id), none)
    assert.throws(() => host.cancel(other, id, ''), none)
    assert.throws(() => host.treeOf(other, id), none)
    assert.throws(() => host.sendInput(other, id, { inputId: '', answer: [], hash: '' }), none)
  })

  it('cancels a task that runs, with the words of its caller or its own, and none that has ended', async () => {
    const { host, start, ended } = open()
    const cancelled = host.cancel(caller, start('waits'), 'no longer needed')
    assert.deepEqual(
      [cancelled.state, cancelled.failure?.code, cancelled.failure?.message],
      ['canceled', 'MESH_TASK_CANCELED', 'no longer needed'],
    )
    assert.equal(
      host.cancel(caller, start('waits'), '').failure?.message,
      'the caller cancelled it',
    )
    const done = start('quick')
    await ended(done)
    assert.equal(host.cancel(caller, done, '').state, 'completed')
  })

  it('lists page by page: by number, and by the room in a message', async () => {
    const { host, start } = open()
    const ids = [1, 2, 3].map(() => start('quick'))
    const query = { states: [], labels: {}, before: null, limit: 2 }
    const first = host.list(caller, query)
    assert.deepEqual(
      first.tasks.map(({ id }) => id),
      [ids[2], ids[1]],
    )
    assert.notEqual(first.next, null)
    const last = host.list(caller, { ...query, before: first.next })
    assert.deepEqual([last.tasks.map(({ id }) => id), last.next], [[ids[0]], null])
    assert.equal(host.list(caller, { ...query, limit: 4 }).next, null)
    assert.deepEqual(host.list(spiffe.agent('acme', 'other'), query), { tasks: [], next: null })
    const label = (length: number) => ({ labels: { large: 'x'.repeat(length) } })
    const large = (1024 * 1024 - 512) / 3
    const wide = [large - 300, 300, large * 2].map((length) =>
      start('quick', label(Math.floor(length))),
    )
    const page = host.list(caller, { ...query, limit: 50 })
    assert.deepEqual(
      page.tasks.map(({ id }) => id),
      [wide[2]],
      'one at least, though it is too large',
    )
    const next = host.list(caller, { ...query, limit: 50, before: page.next })
    assert.deepEqual(
      next.tasks.map(({ id }) => id),
      [wide[1]],
    )
    assert.notEqual(next.next, null)
  })

  it('follows the tree of a task while it runs: revoked, the task is cancelled', async () => {
    const { host, trees, start, ended } = open()
    const origin = { traceparent: null, delegationToken: 'token' }
    const id = start('waits', {}, origin)
    assert.equal(host.treeOf(caller, id), 'token')
    const [tree = assert.fail()] = trees
    assert.deepEqual([tree.token, tree.followed], ['token', true])
    const { MeshError } = await import('@clawmesh/proto')
    tree.revoke(new MeshError('MESH_CHAIN_REVOKED'))
    const info = await ended(id)
    assert.deepEqual([info.state, info.failure?.code], ['canceled', 'MESH_CHAIN_REVOKED'])
    assert.equal(tree.followed, false)
    assert.equal(host.treeOf(caller, id), 'token', 'it was part of it all the same')
    const bare = start('waits')
    assert.equal(host.treeOf(caller, bare), null)
    assert.equal(trees.length, 1)
  })

  it('gives answers to the task that asked, and has its caller come again where nobody runs it', async () => {
    const { host, start, until, ended } = open()
    const answer = [{ kind: 'text' as const, text: 'yes' }]
    const id = start('asks')
    const { pendingInputs } = await until(id, (state) => state === 'input-required')
    assert.deepEqual(pendingInputs, ['1'])
    const sent = { inputId: '1', answer, hash: 'h' }
    assert.deepEqual(host.sendInput(caller, id, sent).pendingInputs, [])
    assert.equal((await ended(id)).state, 'completed')
    assert.equal(host.sendInput(caller, id, sent).state, 'completed', 'the same answer again')
    const left = start('asksAgain')
    await until(left, (state) => state === 'input-required')
    await host.drain(0)
    assert.throws(() => host.sendInput(caller, left, sent), {
      ...{ code: 'MESH_PEER_DRAINING', retryAfterMs: 500 },
    })
  })

  describe('that is closed', () => {
    it('lets tasks end in their time, and then ends them', async () => {
      const { host, start } = open()
      const id = start('waits')
      await host.drain(0)
      const { state, failure } = host.get(caller, id)
      assert.deepEqual([state, failure?.code], ['canceled', 'MESH_TASK_CANCELED'])
      const quick = open()
      const done = quick.start('quick')
      await quick.host.drain(60_000)
      assert.equal(quick.host.get(caller, done).state, 'completed')
      await open().host.drain(60_000)
    })

    it('lets go of what can be run again, at once where it waits for its caller; but not on a store that ends with it', async () => {
      const { host, store, start, until } = open()
      const waits = start('asksAgain')
      await until(waits, (state) => state === 'input-required')
      await host.drain(60_000)
      const runs = open()
      runs.start('resumes')
      await runs.host.drain(0)
      for (const each of [store, runs.store]) assert.equal(each.takeLeft().length, 1)
      const gone = open({ storeStays: false })
      const id = gone.start('resumes')
      await gone.host.drain(0)
      assert.equal(gone.host.get(caller, id).state, 'canceled')
    })
  })

  describe('that comes after another', () => {
    const left = async (skill: string, request: Partial<TaskRequest> = {}) => {
      const first = open()
      const id = first.start(skill, request)
      await first.until(id, (state) => state !== 'submitted')
      await first.host.drain(0)
      return { store: first.store, id }
    }
    const recover = async (store: TaskStore, id: string, more: Partial<TaskHostOptions> = {}) => {
      const second = open({ store, ...more })
      second.host.recover()
      return await second.ended(id)
    }

    it('runs on what can be run again', async () => {
      const { store, id } = await left('resumes')
      assert.equal((await recover(store, id)).state, 'completed')
    })

    it('ends what is over, what nobody can run any more, and what is of no agent', async () => {
      const over = await left('resumes', { deadline: new Date(nowMs + 10) })
      nowMs += 10
      const expired = await recover(over.store, over.id)
      assert.deepEqual([expired.state, expired.failure?.code], ['expired', 'MESH_TASK_EXPIRED'])
      const interrupted = ['orphaned', 'MESH_TASK_INTERRUPTED']
      const ends = async (more: Partial<TaskHostOptions>) => {
        const { store, id } = await left('resumes')
        const { state, failure } = await recover(store, id, more)
        assert.deepEqual([state, failure?.code], interrupted)
      }
      await ends({ skills: createServedSkills({}, silentLog) })
      await ends({ skills: createServedSkills({ resumes: () => 'done' }, silentLog) })
      await ends({ identify: () => null })
    })

    it('does not run for ever what takes its process down: five times', async () => {
      const { store, id } = await left('resumes')
      for (let run = 1; run <= 5; run += 1) {
        const [task] = store.takeLeft()
        assert.equal(task?.again?.checkpoint.runs, run)
        store.letGo(caller.id, id)
      }
      const { state, failure } = await recover(store, id)
      assert.deepEqual(
        [state, failure?.code, failure?.message],
        ['orphaned', 'MESH_TASK_INTERRUPTED', 'the agent died 5 times while it ran the task'],
      )
      const fewer = await left('resumes')
      for (let run = 1; run <= 4; run += 1) {
        fewer.store.takeLeft()
        fewer.store.letGo(caller.id, fewer.id)
      }
      assert.equal((await recover(fewer.store, fewer.id)).state, 'completed')
    })
  })
})
