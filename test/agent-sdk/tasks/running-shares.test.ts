/** No caller and no tenant fills an agent for the others, and a question that nobody answers does not keep its place. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createMemoryTaskStore,
  createSqliteTaskStore,
  silentLog,
  type TaskContext,
  type TaskStore,
} from '@clawmesh/agent-sdk'
import { type AgentIdentity, createSpiffeTemplate, MeshError, uuidV7 } from '@clawmesh/proto'
import {
  createRunningShares,
  type RunningSharesOptions,
} from '../../../agent-sdk/src/tasks/running-shares.ts'
import { createServedSkills } from '../../../agent-sdk/src/tasks/served-skills.ts'
import { createTaskHost, type TaskHost } from '../../../agent-sdk/src/tasks/task-host.ts'
import { waitFor } from '../../support/wait-for.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })

function agent(tenant: string, name: string): AgentIdentity {
  const known = spiffe.parse(`spiffe://mesh.internal/tenant/${tenant}/agent/${name}`)
  return known?.kind === 'agent' ? known : assert.fail('no agent')
}

const mallory = agent('acme', 'mallory')
const skills = {
  ask: {
    resume: true,
    async run(_task: unknown, ctx: TaskContext) {
      await ctx.ask('may I?')
    },
  },
}

describe('the tasks that an agent runs', () => {
  const stores: TaskStore[] = []
  let dir: string | null = null
  afterEach(async () => {
    for (const store of stores.splice(0)) store.close()
    if (dir !== null) await rm(dir, { recursive: true })
    dir = null
  })

  function open(
    more: { perTenant?: number; perCaller?: number; inputTimeoutMs?: number } = {},
    store: TaskStore = createMemoryTaskStore(),
  ): TaskHost {
    if (!stores.includes(store)) stores.push(store)
    return createTaskHost({
      onServing: () => {},
      ...{
        store,
        skills: createServedSkills(skills, silentLog),
        storeStays: true,
        log: silentLog,
        now: Date.now,
        orphanGraceMs: 60_000,
      },
      running: {
        maxRunning: 100,
        maxRunningPerTenant: more.perTenant ?? null,
        maxRunningPerCaller: more.perCaller ?? null,
      },
      inputTimeoutMs: more.inputTimeoutMs ?? 60_000,
      identify(id) {
        const known = spiffe.parse(id)
        return known?.kind === 'agent' ? known : null
      },
      followTree: () => () => {},
      outward: (_origin, live) => ({
        signal: live.signal,
        fetch: () => assert.fail('fetches'),
        delegate: () => assert.fail('delegates'),
        traceparent: '',
        enter: (work) => work(),
      }),
    })
  }
  /** Gives tasks until one is refused, 200 at most. Answers their ids. */
  function fill(tasks: TaskHost, caller: AgentIdentity): string[] {
    const ids: string[] = []
    while (ids.length < 200)
      try {
        ids.push(give(tasks, caller))
      } catch (error) {
        assert.ok(error instanceof MeshError)
        assert.equal(error.code, 'MESH_LIMIT_CONCURRENCY')
        assert.equal(error.retryAfterMs, 1_000)
        break
      }
    return ids
  }
  function give(tasks: TaskHost, caller: AgentIdentity): string {
    const request = {
      ...{ id: uuidV7(), skill: 'ask', input: [], idempotencyKey: null, deadline: null },
      ...{ detached: true, labels: {} },
    }
    const origin = { traceparent: null, delegationToken: null }
    tasks.delegate(caller, { request, contentHash: 'h', inputBytes: 0 }, origin).close()
    return request.id
  }

  it('one caller that asks for as many as it can leaves half of them to others', () => {
    const tasks = open()
    assert.equal(fill(tasks, mallory).length, 50)
    assert.equal(fill(tasks, agent('acme', 'planner')).length, 16)
    assert.equal(fill(tasks, agent('globex', 'cfo')).length, 16)
  })

  it('a tenant with any number of callers leaves a quarter to other tenants, and they some to the next', () => {
    const tasks = open()
    let ofAcme = 0
    for (let n = 0; n < 100; n += 1) ofAcme += fill(tasks, agent('acme', `m${n}`)).length
    assert.equal(ofAcme, 75)
    let ofGlobex = 0
    for (let n = 0; n < 100; n += 1) ofGlobex += fill(tasks, agent('globex', `m${n}`)).length
    assert.equal(ofGlobex, 18)
    for (let n = 0; n < 3; n += 1)
      assert.ok(fill(tasks, agent(`t${n}`, 'a')).length > 0, `tenant ${n} gets nothing`)
  })

  it('what has ended is given back, and shares that are set are held to', () => {
    const tasks = open({ perTenant: 10, perCaller: 4 })
    const [first = ''] = fill(tasks, mallory)
    assert.equal(fill(tasks, mallory).length, 0)
    tasks.cancel(mallory, first, '')
    assert.equal(fill(tasks, mallory).length, 1)
    assert.equal(fill(tasks, agent('acme', 'a')).length, 4)
    assert.equal(fill(tasks, agent('acme', 'b')).length, 2)
    assert.equal(fill(tasks, agent('globex', 'b')).length, 4)
  })

  it('a refusal says whose share is full: the agent’s, the tenant’s or the caller’s', () => {
    const refused = (running: Partial<RunningSharesOptions>, ...others: AgentIdentity[]) => {
      const shares = createRunningShares({
        ...{ maxRunning: 4, maxRunningPerTenant: 4, maxRunningPerCaller: 4, ...running },
      })
      for (const one of others) shares.add(one)
      assert.throws(
        () => shares.check(mallory),
        (error: unknown) => {
          assert.ok(error instanceof MeshError)
          assert.deepEqual([error.code, error.retryAfterMs], ['MESH_LIMIT_CONCURRENCY', 1_000])
          assert.match(error.hint, /finish or cancel one/)
          text = error.message
          return true
        },
      )
      return text
    }
    let text = ''
    const [neighbour, stranger] = [agent('acme', 'a'), agent('globex', 'a')]
    assert.match(refused({ maxRunning: 1 }, stranger), /as many tasks as it may$/)
    assert.match(refused({ maxRunning: 1, maxRunningPerTenant: 1 }, neighbour), /tasks as it may$/)
    assert.match(refused({ maxRunningPerTenant: 1 }, neighbour), /of one tenant as it may$/)
    assert.match(refused({ maxRunningPerCaller: 1 }, mallory), /of one caller as it may$/)
  })

  it('what ends twice is given back once', () => {
    const shares = createRunningShares({
      ...{ maxRunning: 2, maxRunningPerTenant: 2, maxRunningPerCaller: 2 },
    })
    const end = shares.add(mallory)
    shares.add(mallory)
    end()
    end()
    shares.check(mallory)
    shares.add(mallory)
    assert.throws(() => shares.check(mallory), { code: 'MESH_LIMIT_CONCURRENCY' })
  })

  it('a question that nobody answers in time fails its task, and its place is free', async () => {
    const tasks = open({ inputTimeoutMs: 50 })
    const ids = fill(tasks, mallory)
    const [first = ''] = ids
    const task = await waitFor('the task to end', () => {
      const info = tasks.get(mallory, first)
      return info.state === 'expired' ? info : undefined
    })
    assert.equal(task.failure?.code, 'MESH_TASK_INPUT_EXPIRED')
    await waitFor('all to end', () =>
      ids.every((id) => tasks.get(mallory, id).state === 'expired') ? true : undefined,
    )
    assert.equal(fill(tasks, mallory).length, 50)
  })

  it('an answer stops the clock', async () => {
    const tasks = open({ inputTimeoutMs: 1_000 })
    const id = give(tasks, mallory)
    await waitFor('the question', () =>
      tasks.get(mallory, id).state === 'input-required' ? true : undefined,
    )
    tasks.sendInput(mallory, id, { inputId: '1', answer: [], hash: 'h' })
    await waitFor('the task to end', () =>
      tasks.get(mallory, id).state === 'completed' ? true : undefined,
    )
  })

  it('the time of a question goes on over a restart, also when the skill does not ask it again', async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-'))
    const file = join(dir, 'tasks.db')
    const before = createSqliteTaskStore({ file })
    stores.push(before)
    const first = open({}, before)
    const id = give(first, mallory)
    await waitFor('the question', () =>
      first.get(mallory, id).state === 'input-required' ? true : undefined,
    )
    await first.drain(0)
    stores.splice(stores.indexOf(before), 1)
    before.close()
    const after = createSqliteTaskStore({ file })
    // one that runs out from the question on, not from the restart on, has passed already
    const second = open({ inputTimeoutMs: 1 }, after)
    second.recover()
    const task = await waitFor('the task to end', () => {
      const info = second.get(mallory, id)
      return info.state === 'expired' ? info : undefined
    })
    assert.equal(task.failure?.code, 'MESH_TASK_INPUT_EXPIRED')
    assert.equal(fill(second, mallory).length, 50)
  })
})
