/** One suite of promises for the real mesh and for its twin in memory, so that the two cannot drift apart. */
import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  type Agent,
  createMemoryTaskStore,
  type Delegation,
  MeshError,
  type Skill,
  type SkillWithOptions,
  type TaskContext,
  type TaskEvent,
} from '@clawmesh/agent-sdk'
import { realWorld, type World, worldInMemory } from './worlds.ts'

const id = (agent: string) => `spiffe://mesh.internal/tenant/acme/agent/${agent}`
/** Runs work in a context that is no task's. */
const outside = AsyncLocalStorage.snapshot()
const NUMBERS = { type: 'array', items: { type: 'number' } }
const LARGE = Buffer.alloc(2_500_000, 'clawmesh ')

for (const [name, make] of Object.entries({
  'the real mesh': realWorld,
  'in memory': worldInMemory,
}))
  describe(`a mesh: ${name}`, function () {
    this.timeout(90_000)
    let world: World
    let planner: Agent
    let researcher: Agent
    let writer: Agent
    let write: Skill = () => undefined
    let research: Skill = () => undefined

    before(async () => {
      world = await make()
      planner = await world.agent('planner')
      researcher = await world.agent('researcher')
      writer = await world.agent('writer')
      await world.serve(planner, { skills: { plan: () => 'planned' } })
      await world.serve(researcher, { skills: skills((task, ctx) => research(task, ctx)) })
      await world.serve(writer, { skills: { write: (task, ctx) => write(task, ctx) } })
    })
    after(() => world?.close())

    const ask = (skill: string, input?: unknown, more: object = {}): Delegation =>
      planner.delegate('researcher', { skill, input: input as never, ...more })
    const until = async (delegation: Delegation, kind: TaskEvent['kind']): Promise<TaskEvent> => {
      for await (const event of delegation) if (event.kind === kind) return event
      return assert.fail(`no event ${kind}`)
    }
    const codeOf = (attempt: Promise<unknown>) =>
      attempt.then(
        () => 'OK',
        (error: unknown) => (error instanceof MeshError ? error.code : String(error)),
      )

    it('brings results of each kind', async () => {
      assert.equal((await ask('echo', 'text').result()).text(), 'text')
      assert.deepEqual((await ask('echo', { a: [1, null] }).result()).json(), { a: [1, null] })
      const { output } = await ask('echo', Buffer.from([0, 255])).result()
      const [part] = output
      assert.ok(part?.kind === 'bytes')
      assert.deepEqual([...part.bytes], [0, 255])
      assert.deepEqual((await ask('echo').result()).output, [])
    })

    it('tells each event once, in order, numbered from 1', async () => {
      const delegation = ask('tells')
      const told: TaskEvent[] = []
      for await (const event of delegation) told.push(event)
      const result = await delegation.result()
      assert.deepEqual(
        told.map(({ seq }) => seq),
        told.map((_, index) => index + 1),
      )
      assert.ok(told.every((event) => event.id === delegation.id && event.time instanceof Date))
      assert.deepEqual(
        told.map(({ kind }) => kind),
        ['accepted', 'status', 'progress', 'message', 'status', 'usage', 'artifact', 'result'],
      )
      const [, , progress, , , usage] = told
      assert.ok(progress?.kind === 'progress' && progress.fraction === 0.5)
      assert.ok(usage?.kind === 'usage' && usage.amounts.tokens === 3)
      assert.equal(result.artifacts.get('a.txt')?.mediaType, 'text/plain')
      assert.deepEqual(await Array.fromAsync(delegation), told)
    })

    it('sends files in chunks, gathered or streamed, with their sum', async () => {
      const sha256 = createHash('sha256').update(LARGE).digest('hex')
      const { artifacts } = await ask('file').result()
      assert.equal(artifacts.get('large')?.sha256, sha256)
      assert.deepEqual(Buffer.from(artifacts.get('large')?.bytes ?? []), LARGE)
      const streamed = ask('file', undefined, { artifacts: 'stream' })
      const pieces: Uint8Array[] = []
      for await (const event of streamed) if (event.kind === 'artifact') pieces.push(event.data)
      assert.ok(pieces.length > 1)
      assert.deepEqual(Buffer.concat(pieces), LARGE)
      assert.equal((await streamed.result()).artifacts.size, 0)
    })

    it('asks its caller, and goes on with the answer', async () => {
      const delegation = ask('asks')
      const asked = await until(delegation, 'input-required')
      assert.ok(asked.kind === 'input-required')
      const { state, pendingInputs } = await planner.get('researcher', delegation.id)
      assert.deepEqual([state, pendingInputs], ['input-required', [asked.inputId]])
      await delegation.sendInput('Lyon')
      assert.equal((await delegation.result()).text(), 'you said Lyon')
      assert.equal(await codeOf(delegation.sendInput('Paris', '9')), 'MESH_TASK_INPUT_UNEXPECTED')
    })

    it('cancels the work of the peer', async () => {
      const delegation = ask('waits')
      await until(delegation, 'message')
      assert.equal((await delegation.cancel('enough')).state, 'canceled')
      assert.equal(await codeOf(delegation.result()), 'MESH_TASK_CANCELED')
      assert.equal((await planner.get('researcher', delegation.id)).failure?.message, 'enough')
      const own = new AbortController()
      const aborted = ask('waits', undefined, { signal: own.signal })
      await until(aborted, 'message')
      own.abort()
      assert.equal(await codeOf(aborted.result()), 'MESH_CALL_CANCELED')
    })

    it('ends tasks at their deadlines', async () => {
      assert.equal(
        await codeOf(ask('waits', undefined, { deadlineMs: 300 }).result()),
        'MESH_TASK_EXPIRED',
      )
    })

    it('gives a task once for each key, and never for other content', async () => {
      const idempotencyKey = crypto.randomUUID()
      const first = ask('echo', 'once', { idempotencyKey })
      await first.result()
      const second = ask('echo', 'once', { idempotencyKey })
      await second.result()
      assert.equal(second.id, first.id)
      const other = ask('echo', 'twice', { idempotencyKey })
      assert.equal(await codeOf(other.result()), 'MESH_TASK_CONFLICT')
    })

    it('says how a skill failed, and no more', async () => {
      assert.equal(await codeOf(ask('rejects').result()), 'MESH_TASK_REJECTED')
      const failed: unknown = await ask('fails')
        .result()
        .catch((error: unknown) => error)
      assert.ok(failed instanceof MeshError)
      assert.equal(failed.code, 'MESH_TASK_FAILED')
      assert.doesNotMatch(failed.message, /private/)
      const own: unknown = await ask('quota')
        .result()
        .catch((error: unknown) => error)
      assert.ok(own instanceof MeshError)
      assert.deepEqual([own.code, own.facts.code], ['MESH_TASK_FAILED', 'QUOTA_EXHAUSTED'])
      assert.equal(await codeOf(ask('ecko').result()), 'MESH_TASK_SKILL_UNKNOWN')
    })

    it('finds tasks again', async () => {
      const labels = { run: crypto.randomUUID() }
      const delegation = ask('echo', 'x', { labels })
      await delegation.result()
      const [listed, ...more] = await Array.fromAsync(planner.list('researcher', { labels }))
      assert.equal(more.length, 0)
      assert.deepEqual(
        [listed?.id, listed?.state, listed?.caller],
        [delegation.id, 'completed', id('planner')],
      )
      const watched = planner.watch('researcher', delegation.id, 1)
      const [first] = await Array.fromAsync(watched)
      assert.equal(first?.seq, 2)
      assert.equal((await planner.watch('researcher', delegation.id).result()).text(), 'x')
      const unknown = '01938f6a-0000-7000-8000-000000000000'
      assert.equal(await codeOf(planner.get('researcher', unknown)), 'MESH_TASK_NOT_FOUND')
      assert.equal(await codeOf(writer.get('researcher', delegation.id)), 'MESH_TASK_NOT_FOUND')
    })

    it('refuses what policy does not allow, and explains it', async () => {
      const refused = planner.delegate('stranger', { skill: 'echo' })
      assert.equal(await codeOf(refused.result()), 'MESH_POLICY_NOT_ALLOWED')
      const { action, code } = await planner.explain('stranger')
      assert.deepEqual([action, code], ['deny', 'MESH_POLICY_NOT_ALLOWED'])
      assert.equal((await planner.explain('researcher')).action, 'allow')
      const peers = await planner.peers()
      const known = peers.find(({ agent }) => agent === 'researcher')
      assert.deepEqual([known?.name, known?.tenant], ['researcher.acme.mesh.internal', 'acme'])
      assert.ok(peers.every(({ agent }) => agent !== 'stranger'))
    })

    it('describes what a peer can do, and checks by it', async () => {
      const described = await planner.describe('researcher')
      const add = described.find((skill) => skill.name === 'add')
      assert.deepEqual([add?.description, add?.input], ['adds numbers', NUMBERS])
      assert.equal(described.find((skill) => skill.name === 'echo')?.input, null)
      assert.equal((await ask('add', [1, 2]).result()).json(), 3)
      assert.throws(() => ask('add', ['one']), { code: 'MESH_TASK_INPUT_INVALID' })
      const unasked = writer.delegate('researcher', { skill: 'add', input: ['one'] })
      assert.equal(await codeOf(unasked.result()), 'MESH_TASK_INPUT_INVALID')
    })

    it('knows who is who', async () => {
      const { id: known, tenant, agent, gateway, certificateNotAfter } = await planner.whoAmI()
      assert.deepEqual([known, tenant, agent], [id('planner'), 'acme', 'planner'])
      assert.match(gateway, /^spiffe:\/\/mesh\.internal\/gateway\//)
      assert.ok(certificateNotAfter > new Date())
      assert.equal(planner.identity.id, id('planner'))
      assert.deepEqual((await ask('caller').result()).json(), [id('planner'), null])
    })

    it('carries chains: who asked whom, one tree, no loops', async () => {
      write = (task) => ({
        agents: task.chain?.agents,
        hop: task.chain?.hop,
        root: task.chain?.rootId,
      })
      research = async (task, ctx) => ({
        own: task.chain?.rootId,
        loop: await codeOf(ctx.delegate('planner', { skill: 'plan' }).result()),
        theirs: (await researcher.delegate('writer', { skill: 'write' }).result()).json(),
        apart: (
          await researcher
            .onOwnBehalf(() => researcher.delegate('writer', { skill: 'write' }))
            .result()
        ).json(),
      })
      const delegation = ask('research')
      const said = (await delegation.result()).json()
      assert.ok(typeof said === 'object' && said !== null && 'own' in said && 'apart' in said)
      const { own, apart, ...rest } = said
      assert.equal(own, delegation.rootId)
      assert.deepEqual(rest, {
        loop: 'MESH_CHAIN_LOOP_DETECTED',
        theirs: { agents: [id('planner'), id('researcher')], hop: 2, root: own },
      })
      const begun: unknown = Reflect.get(Object(apart), 'agents')
      assert.deepEqual(begun, [id('researcher')])
      assert.notEqual(Reflect.get(Object(apart), 'root'), own)
    })

    it('keeps one trace through a chain', async () => {
      const traceparent = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`
      write = (_, ctx) => ctx.traceparent
      research = async (_, ctx) =>
        (await ctx.delegate('writer', { skill: 'write' }).result()).text()
      const delegation = ask('research', undefined, { traceparent })
      assert.equal(delegation.traceId, 'ab'.repeat(16))
      assert.match((await delegation.result()).text(), new RegExp(`^00-${'ab'.repeat(16)}-`))
    })

    it('fetches, under the rights of all in the chain', async () => {
      const response = await planner.fetch(world.site('page', '/x'), { method: 'POST', body: 'b' })
      assert.equal(response.headers.get('x-from'), 'outside')
      assert.equal(await response.text(), 'POST /x b')
      assert.equal(await codeOf(planner.fetch(world.site('forbidden'))), 'MESH_POLICY_NOT_ALLOWED')
      research = async (task, ctx) => (await ctx.fetch(task.text())).text()
      const page = world.site('page')
      assert.equal((await ask('research', page).result()).text(), 'GET / ')
      const only = world.site('research')
      assert.equal(await (await researcher.fetch(only)).text(), 'GET / ')
      assert.equal(await codeOf(ask('research', only).result()), 'MESH_CHAIN_ACTOR_REFUSED')
      const narrow = { destinations: ['other.example'] }
      assert.equal(
        await codeOf(ask('research', page, { narrow }).result()),
        'MESH_TOKEN_DESTINATION',
      )
      const past = { dispatcher: {} } as RequestInit
      await assert.rejects(planner.fetch(page, past), TypeError)
    })

    it('runs what comes by another way for the task that it enters, and not after its end', async () => {
      write = (task) => task.chain?.agents ?? []
      let kept: TaskContext | null = null
      research = async (_, ctx) => {
        kept = ctx
        const { promise, resolve } = Promise.withResolvers<Delegation>()
        outside(() => resolve(ctx.enter(() => researcher.delegate('writer', { skill: 'write' }))))
        return (await (await promise).result()).json() as object
      }
      const chain = (await ask('research').result()).json()
      assert.deepEqual(chain, [id('planner'), id('researcher')])
      const ended = kept as TaskContext | null
      assert.throws(() => ended?.enter(() => assert.fail('it ran')), { code: 'MESH_CALL_CANCELED' })
    })

    it('refuses options that make no sense', () => {
      assert.throws(() => ask('echo', 'x', { idempotencykey: 'x' }), TypeError)
      assert.throws(() => ask('no skill'), TypeError)
      assert.throws(() => ask('echo', Buffer.alloc(4_000_000)), { code: 'MESH_LIMIT_SIZE' })
    })

    it('goes on with a task in a store that was given, when the agent serves again', async () => {
      const agent = await world.agent('counter')
      const taskStore = createMemoryTaskStore()
      const runs: unknown[] = []
      const count: SkillWithOptions = {
        resume: true,
        async run(_, ctx) {
          runs.push(ctx.saved)
          if (ctx.saved !== undefined) return 'done'
          await ctx.checkpoint({ at: 1 })
          ctx.message('saved')
          await once(ctx.signal, 'abort')
          return undefined
        },
      }
      const first = await world.serve(agent, { skills: { count }, taskStore, drainMs: 1 })
      const delegation = planner.delegate('counter', { skill: 'count' })
      await until(delegation, 'message')
      await first.close()
      const { port } = first.address
      const listen = port === 7443 ? {} : { listen: `127.0.0.1:${port}` }
      const second = await world.serve(agent, { skills: { count }, taskStore, ...listen })
      assert.equal((await delegation.result()).text(), 'done')
      assert.deepEqual(runs, [undefined, { at: 1 }])
      await second.close()
      taskStore.close()
    })

    it('cancels what it delegated when it is closed, and does nothing any more', async () => {
      const agent = await world.agent('writer')
      const delegation = agent.delegate('researcher', { skill: 'waits' })
      await until(delegation, 'message')
      const states: string[] = []
      agent.onState(({ status }) => states.push(status))
      assert.equal(agent.state().status, 'connected')
      const { id: task } = delegation
      const failed = assert.rejects(delegation.result(), { code: 'MESH_CALL_CANCELED' })
      await agent.close()
      await failed
      assert.deepEqual([agent.state().status, states], ['closed', ['closed']])
      assert.equal(await codeOf(agent.whoAmI()), 'MESH_CALL_CANCELED')
      const again = await world.agent('writer')
      assert.equal((await again.get('researcher', task)).state, 'canceled')
    })
  })

function skills(research: Skill): Record<string, Skill | SkillWithOptions> {
  return {
    add: {
      description: 'adds numbers',
      input: NUMBERS,
      run: (task) => [task.json()].flat().reduce((sum: number, each) => sum + Number(each), 0),
    },
    research,
    echo: (task) => (task.input.length === 0 ? undefined : task.input),
    caller: (task) => [task.caller.id, task.deadline],
    async tells(_, ctx) {
      ctx.progress(0.5, 'half')
      ctx.message('so far')
      ctx.status('nearly')
      ctx.usage({ tokens: 3 })
      await ctx.artifact('a.txt', 'content', { mediaType: 'text/plain' })
      return 'told'
    },
    async file(_, ctx) {
      await ctx.artifact('large', LARGE)
      return 'sent'
    },
    asks: async (_, ctx) => `you said ${(await ctx.ask('which city?')).text()}`,
    async waits(_, ctx) {
      ctx.message('waiting')
      await once(ctx.signal, 'abort')
      return undefined
    },
    rejects: (_, ctx) => ctx.reject('not today'),
    fails() {
      throw new Error('private words')
    },
    quota() {
      throw new MeshError('QUOTA_EXHAUSTED', 'no more today')
    },
  }
}
