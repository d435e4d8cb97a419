/** What the host hands to a task that is run again, and how it waits for the disk. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createMemoryTaskStore, silentLog, type TaskStore } from '@clawmesh/agent-sdk'
import { createSpiffeTemplate, uuidV7 } from '@clawmesh/proto'
import { createServedSkills } from '../../../agent-sdk/src/tasks/served-skills.ts'
import { createTaskHost, type TaskOrigin } from '../../../agent-sdk/src/tasks/task-host.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const parsed = spiffe.parse('spiffe://mesh.internal/tenant/acme/agent/a')
const caller = parsed?.kind === 'agent' ? parsed : assert.fail('no agent')

describe('the host of tasks', () => {
  const stores: TaskStore[] = []
  const memory = () => {
    const store = createMemoryTaskStore()
    stores.push(store)
    return store
  }
  afterEach(() => {
    for (const store of stores.splice(0)) store.close()
  })
  const host = (
    store: TaskStore,
    skills: Parameters<typeof createServedSkills>[0],
    origins: TaskOrigin[] = [],
  ) =>
    createTaskHost({
      onServing: () => {},
      ...{
        store,
        skills: createServedSkills(skills, silentLog),
        storeStays: true,
        log: silentLog,
        now: Date.now,
      },
      ...{ orphanGraceMs: 60_000, inputTimeoutMs: 60_000 },
      running: { maxRunning: 10, maxRunningPerTenant: null, maxRunningPerCaller: null },
      identify: () => caller,
      followTree: () => () => {},
      outward(origin, live) {
        origins.push(origin)
        return {
          signal: live.signal,
          fetch: () => assert.fail('fetches'),
          delegate: () => assert.fail('delegates'),
          traceparent: '',
          enter: (work) => work(),
        }
      },
    })
  const asked = (skill: string) => ({
    request: {
      ...{ id: uuidV7(), skill, input: [], idempotencyKey: null, deadline: null },
      ...{ detached: true, labels: {} },
    },
    ...{ contentHash: 'h', inputBytes: 0 },
  })

  it('a task that is run again acts in the chain that it came in', async () => {
    const store = memory()
    const skills = {
      waits: {
        resume: true,
        run: async (_task: unknown, ctx: { signal: AbortSignal; resumed: boolean }) => {
          if (!ctx.resumed) await once(ctx.signal, 'abort')
        },
      },
    }
    const origin = { traceparent: 'a trace', delegationToken: 'a token' }
    const origins: TaskOrigin[] = []
    const first = host(store, skills, origins)
    const { id } = first.delegate(caller, asked('waits'), origin)
    while (origins.length === 0) await new Promise(setImmediate)
    await first.drain(0)
    const second = host(store, skills, origins)
    second.recover()
    while (store.get(caller.id, id)?.endedMs === null) await new Promise(setImmediate)
    assert.equal(store.get(caller.id, id)?.state, 'completed')
    assert.deepEqual(
      origins.map(({ traceparent, delegationToken }) => ({ traceparent, delegationToken })),
      [origin, origin],
    )
  })

  it('what nobody waits for is on disk before a reader sees it, and a skill begins after that is on disk', async () => {
    const inner = memory()
    let flushed = 0
    let written = 0
    let begunAt = -1
    const store: TaskStore = {
      ...inner,
      append(...args) {
        written += 1
        return inner.append(...args)
      },
      flush() {
        flushed = written
      },
      eventAfter(...args) {
        const event = inner.eventAfter(...args)
        if (event !== null) assert.ok(event.seq <= flushed, 'read before it was written')
        return event
      },
    }
    const tasks = host(store, {
      talks(_task, ctx) {
        begunAt = written - flushed
        ctx.message('one')
        ctx.message('two')
      },
    })
    const reader = tasks.delegate(caller, asked('talks'), {
      traceparent: null,
      delegationToken: null,
    })
    let seen = 0
    const { promise, resolve } = Promise.withResolvers<void>()
    const read = () => {
      while (reader.next() !== null) seen += 1
      if (reader.done()) resolve()
    }
    reader.onChange(read)
    read()
    await promise
    reader.close()
    assert.equal(seen, 5)
    assert.equal(begunAt, 0)
  })

  it('a slow reader finds its task to the end, while others of the same caller are read and forgotten', async () => {
    const store = createMemoryTaskStore({ maxCallerBytes: 20_000 })
    stores.push(store)
    const tasks = host(store, {
      talks(_task, ctx) {
        ctx.message('x'.repeat(2_000))
      },
    })
    const origin = { traceparent: null, delegationToken: null }
    const run = async () => {
      const reader = tasks.delegate(caller, asked('talks'), origin)
      while (store.get(caller.id, reader.id)?.endedMs === null) await new Promise(setImmediate)
      return reader
    }
    const slow = await run()
    for (let i = 0; i < 8; i += 1) {
      const quick = await run()
      while (quick.next() !== null);
      assert.ok(quick.done())
      quick.close()
    }
    let seen = 0
    while (slow.next() !== null) seen += 1
    assert.equal(seen, store.get(caller.id, slow.id)?.lastSeq)
    assert.ok(slow.done())
    slow.close()
    for (let i = 0; i < 4; i += 1) (await run()).close()
    assert.equal(store.get(caller.id, slow.id), null, 'what was read to its end goes first')
  })

  it('a store that can be written no more ends the skill, and tells readers to come again', async () => {
    const { MeshError } = await import('@clawmesh/proto')
    const inner = memory()
    let broken = false
    const store: TaskStore = {
      ...inner,
      append(...args) {
        if (broken) throw new MeshError('MESH_TASK_STORE_FAILED')
        return inner.append(...args)
      },
    }
    let stopped: unknown
    const tasks = host(store, {
      async talks(_task, ctx) {
        ctx.signal.addEventListener('abort', () => {
          stopped = ctx.signal.reason
        })
        broken = true
        ctx.message('never written')
      },
    })
    const reader = tasks.delegate(caller, asked('talks'), {
      traceparent: null,
      delegationToken: null,
    })
    while (stopped === undefined) await new Promise(setImmediate)
    assert.ok(stopped instanceof MeshError && stopped.code === 'MESH_TASK_STORE_FAILED')
    assert.throws(
      () => {
        while (reader.next() !== null);
      },
      { code: 'MESH_PEER_DRAINING' },
    )
    reader.close()
    await tasks.drain(0)
  })
})
