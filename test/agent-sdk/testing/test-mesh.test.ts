import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mock } from 'node:test'
import { type Agent, type Skill, silentLog } from '@clawmesh/agent-sdk'
import { createTestMesh, type TestMesh } from '@clawmesh/agent-sdk/testing'
import { waitFor } from '../../support/wait-for.ts'

const echo: Skill = (task) => task.text()
const id = (agent: string) => `spiffe://mesh.internal/tenant/acme/agent/${agent}`

describe('a mesh in memory', () => {
  let mesh: TestMesh
  let planner: Agent
  let researcher: Agent
  beforeEach(() => {
    mesh = createTestMesh()
    planner = mesh.agent('planner')
    researcher = mesh.agent('researcher')
  })
  afterEach(() => mesh.close())
  const ask = (input = '') => planner.delegate('researcher', { skill: 'echo', input })

  it('opens no socket and no file', async () => {
    const before = process.getActiveResourcesInfo().filter((name) => /TCP|Pipe|FS/.test(name))
    await researcher.serve({ skills: { echo } })
    const delegation = ask('x')
    await delegation.result()
    const after = process.getActiveResourcesInfo().filter((name) => /TCP|Pipe|FS/.test(name))
    assert.deepEqual(after, before)
  })

  it('tells of a skill that fails on stderr, as agents do, unless it is given a log', async () => {
    const wrong = new Error('the page has no title')
    const skills = { echo: () => Promise.reject(wrong) }
    const console_ = mock.method(console, 'error', () => {})
    try {
      await researcher.serve({ skills })
      await assert.rejects(ask().result(), { code: 'MESH_TASK_FAILED' })
      const [line] = console_.mock.calls.map(({ arguments: [text] }) => String(text))
      assert.match(
        line ?? '',
        /^clawmesh error: the skill failed .* skill=echo .*\n +Error: the page/,
      )
      await mesh.agent('quiet', { log: silentLog }).serve({ skills })
      await assert.rejects(planner.delegate('quiet', { skill: 'echo' }).result())
      assert.equal(console_.mock.callCount(), 1)
    } finally {
      console_.mock.restore()
    }
  })

  it('refuses on demand, by any code, until the rule is taken back', async () => {
    await researcher.serve({ skills: { echo } })
    const allow = mesh.refuse(({ plane, to }) =>
      plane === 'delegation' && to.startsWith('researcher.') ? 'MESH_RATE_LIMITED' : null,
    )
    await assert.rejects(ask().result(), { code: 'MESH_RATE_LIMITED' })
    assert.deepEqual(await planner.peers(), [])
    allow()
    assert.equal((await ask('now').result()).text(), 'now')
  })

  it('says what was called and fetched, by whom, within which chain', async () => {
    const page: Skill = async (_, ctx) => (await ctx.fetch('https://example.com/')).text()
    await researcher.serve({ skills: { page } })
    mesh.onFetch((_, { agent }) => new Response(agent))
    mesh.refuse(({ to }) => (to === 'other.example:443' ? 'MESH_POLICY_NOT_ALLOWED' : null))
    const delegation = planner.delegate('researcher', { skill: 'page' })
    assert.equal((await delegation.result()).text(), id('researcher'))
    await assert.rejects(planner.fetch('https://other.example/'))
    const { rootId, traceId } = delegation
    const said = mesh.records()
    assert.deepEqual(
      said.map(({ plane, to, code }) => [plane, to, code]),
      [
        ['delegation', 'researcher.acme.mesh.internal', null],
        ['egress', 'example.com:443', null],
        ['egress', 'other.example:443', 'MESH_POLICY_NOT_ALLOWED'],
      ],
    )
    assert.deepEqual(said[1]?.chain, [id('planner')])
    assert.deepEqual([said[1]?.rootId, said[1]?.traceId], [rootId, traceId])
  })

  it('is away on demand, and is found again', async () => {
    await researcher.serve({ skills: { echo } })
    mesh.setUp(false)
    const lazy = mesh.agent('planner', { lazy: true, patience: { connectGiveUpMs: 50 } })
    await assert.rejects(lazy.whoAmI(), { code: 'MESH_GATEWAY_UNREACHABLE' })
    await waitFor('the reason', () => lazy.state().error?.code === 'MESH_GATEWAY_UNREACHABLE')
    assert.equal(lazy.state().status, 'connecting')
    mesh.setUp(true)
    await waitFor('the agent', () => lazy.state().status === 'connected')
    const delegation = lazy.delegate('researcher', { skill: 'echo', input: 'back' })
    assert.equal((await delegation.result()).text(), 'back')
    mesh.setUp(false)
    await waitFor('the loss', () => lazy.state().status === 'connecting')
  })

  it('has no egress port until a test says what is fetched', async () => {
    await assert.rejects(planner.fetch('https://example.com/'), TypeError)
    mesh.onFetch(() => new Response('page'))
    assert.equal(await (await planner.fetch('https://example.com/')).text(), 'page')
  })

  it('keeps agents apart: what a peer does is no work of its caller', async () => {
    const seen: (readonly string[])[] = []
    const writer = mesh.agent('writer')
    await writer.serve({
      skills: {
        async write(task) {
          seen.push(task.chain?.agents ?? [])
          // another agent of the process, which has a task of its own at this moment
          if (task.text() === 'first') {
            const own = researcher.delegate('writer', { skill: 'write', input: 'second' })
            await own.result()
          }
        },
      },
    })
    await researcher.serve({
      skills: {
        async work(_, ctx) {
          await ctx.delegate('writer', { skill: 'write', input: 'first' }).result()
        },
      },
    })
    await planner.delegate('researcher', { skill: 'work' }).result()
    assert.deepEqual(seen, [[id('planner'), id('researcher')], [id('researcher')]])
  })

  it('crosses tenants, and has the name of an agent as real ones have it', async () => {
    const translator = mesh.agent('globex/translator')
    await translator.serve({ skills: { echo } })
    const delegation = planner.delegate('globex/translator', { skill: 'echo', input: 'hola' })
    assert.equal((await delegation.result()).text(), 'hola')
    assert.equal(delegation.peer, 'translator.globex.mesh.internal')
    assert.throws(() => mesh.agent('no name'), TypeError)
    assert.throws(() => createTestMesh({ tennant: 'x' } as never), TypeError)
  })

  it('says what it does not have', async () => {
    const relay = { listen: '127.0.0.1:0', secretFile: 'secret' }
    await assert.rejects(planner.egressRelay(relay), TypeError)
    await assert.rejects(planner.serve({ skills: {}, additionalServices: [] }), TypeError)
  })

  it('has no peer that does not serve, and none any more that has closed', async () => {
    await assert.rejects(ask().result(), { code: 'MESH_PEER_UNRESOLVED' })
    const waits: Skill = async (_, ctx) => {
      await once(ctx.signal, 'abort')
      return undefined
    }
    const serving = await researcher.serve({ skills: { echo: waits }, drainMs: 10 })
    const delegation = ask()
    for await (const event of delegation) if (event.kind === 'status') break
    await serving.close()
    await assert.rejects(delegation.result(), { code: 'MESH_TASK_CANCELED' })
    await assert.rejects(ask().result(), { code: 'MESH_PEER_UNRESOLVED' })
  })
})
