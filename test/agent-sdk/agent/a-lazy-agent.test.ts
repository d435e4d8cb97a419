import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  type Agent,
  type AgentOptions,
  type AgentState,
  createAgent,
  MeshError,
  silentLog,
} from '@clawmesh/agent-sdk'
import { freePort } from '../../../scripts/dev/free-ports.ts'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'
import { waitFor } from '../../support/wait-for.ts'
import { type StandInGateway, startStandInGateway } from '../stand-in/gateway.ts'

const CONNECT_MS = 1_500

describe('a lazy agent', () => {
  let ca: TestCa
  let ready: string
  const undo: (() => Promise<void>)[] = []
  before(async () => {
    ca = await makeTestCa()
    ready = await ca.agentDir({ tenant: 'acme', agent: 'a' })
  })
  afterEach(async () => {
    for (const step of undo.splice(0).toReversed()) await step()
  })
  after(() => ca.close())

  async function startGateway(): Promise<StandInGateway> {
    const store = await ca.open(await ca.gatewayDir({ name: 'gw', tenants: ['acme'] }))
    const gateway = await startStandInGateway({ store, spiffe: ca.spiffe })
    undo.push(() => gateway.close())
    return gateway
  }
  /** One that is not there until it is revived. */
  async function absentGateway(): Promise<StandInGateway> {
    const gateway = await startGateway()
    await gateway.kill()
    return gateway
  }
  async function lazy(gateway: string, options: Partial<AgentOptions> = {}) {
    const patience = { connectGiveUpMs: CONNECT_MS }
    const agent = await createAgent({
      ...{ gateway, identity: ready, lazy: true, log: silentLog, patience },
      ...options,
    })
    undo.push(() => agent.close())
    const states: AgentState[] = []
    agent.onState((state) => states.push(state))
    return { agent, states, seen: () => states.map(({ status }) => status) }
  }
  const becomes = (agent: Agent, status: AgentState['status']) =>
    waitFor(`the agent is ${status}`, () => agent.state().status === status)

  it('connects by itself, without a call', async () => {
    const gateway = await startGateway()
    const { agent, states } = await lazy(gateway.address)
    await becomes(agent, 'connected')
    assert.equal(agent.state().error, null)
    assert.ok(states.every(({ status }) => status === 'connected'))
  })

  it('is there while the gateway is not, says why, and finds it when it comes up', async () => {
    const gateway = await absentGateway()
    const { agent, seen } = await lazy(gateway.address)
    await waitFor('the reason', () => agent.state().error !== null)
    const { status, error, since } = agent.state()
    assert.equal(status, 'connecting')
    assert.equal(error?.code, 'MESH_GATEWAY_UNREACHABLE')
    assert.match(error?.message ?? '', /ECONNREFUSED/)
    assert.ok(since instanceof Date)
    assert.equal(agent.identity.agent, 'a')
    await gateway.revive()
    await becomes(agent, 'connected')
    assert.deepEqual(seen(), ['connecting', 'connected'])
  })

  it('lets calls wait for the gateway as long as connectGiveUpMs, then fails with the reason', async () => {
    const gateway = await absentGateway()
    const { agent } = await lazy(gateway.address)
    for (const call of [agent.whoAmI(), agent.delegate('b', { skill: 'echo' }).result()])
      await assert.rejects(call, { code: 'MESH_GATEWAY_UNREACHABLE' })
    const patient = await lazy(gateway.address, { patience: { connectGiveUpMs: 30_000 } })
    const call = patient.agent.whoAmI()
    await gateway.revive()
    assert.equal((await call).agent, 'a')
  })

  it('connects again when the gateway was restarted, and says so', async () => {
    const first = await startGateway()
    const { agent, seen } = await lazy(first.address)
    await becomes(agent, 'connected')
    await first.kill()
    await becomes(agent, 'connecting')
    await first.revive()
    await becomes(agent, 'connected')
    assert.deepEqual(seen().slice(-3), ['connected', 'connecting', 'connected'])
  })

  it('says that one of the two refuses the other', async () => {
    const other = await makeTestCa()
    undo.push(() => other.close())
    const store = await other.open(await other.gatewayDir({ name: 'gw', tenants: ['acme'] }))
    const gateway = await startStandInGateway({ store, spiffe: other.spiffe })
    undo.push(() => gateway.close())
    const { agent } = await lazy(gateway.address)
    await becomes(agent, 'refused')
    assert.match(agent.state().error?.code ?? '', /^MESH_(?:GATEWAY|IDENTITY)_UNTRUSTED$/)
  })

  describe('without an identity', () => {
    let name: string
    let dir: string
    let gateway: StandInGateway
    beforeEach(async () => {
      gateway = await startGateway()
      name = `late-${crypto.randomUUID()}`
      dir = join(ca.dir, name)
    })
    const appears = () => ca.issue(name, 'a')

    it('is made all the same, says what is missing, and uses the identity when it is there', async () => {
      const { agent, seen } = await lazy(gateway.address, { identity: dir })
      const { status, error } = agent.state()
      assert.equal(status, 'no-identity')
      assert.equal(error?.code, 'MESH_IDENTITY_UNREADABLE')
      assert.throws(() => agent.identity, { code: 'MESH_IDENTITY_UNREADABLE' })
      await appears()
      await becomes(agent, 'connected')
      assert.equal(agent.identity.agent, 'a')
      assert.deepEqual(seen(), ['connecting', 'connected'])
    })

    it('fails calls with what is missing, each in its way, once they have waited', async () => {
      const { agent } = await lazy(gateway.address, { identity: dir })
      const missing = { code: 'MESH_IDENTITY_UNREADABLE' }
      const delegation = agent.delegate('b', { skill: 'echo' })
      const calls = [
        agent.whoAmI(),
        agent.peers(),
        agent.explain('b'),
        agent.explainHost('example.test'),
        agent.get('b', delegation.id),
        Array.fromAsync(agent.list('b')),
        delegation.result(),
        Array.fromAsync(delegation),
        delegation.cancel(),
        delegation.sendInput('yes'),
        agent.watch('b', delegation.id).result(),
        agent.fetch('https://example.test/'),
      ]
      await Promise.all(calls.map((call) => assert.rejects(call, missing)))
      assert.throws(() => agent.delegate('b', { skil: 'echo' } as never), TypeError)
      assert.equal(
        agent.onOwnBehalf(() => undefined),
        undefined,
      )
    })

    it('gives tasks away once it has one: under the id that they were given', async () => {
      const { agent: b } = await lazy(gateway.address, {
        identity: await ca.agentDir({ tenant: 'acme', agent: 'b' }),
      })
      const serving = await b.serve({
        listen: '127.0.0.1:0',
        skills: { echo: (task) => ({ id: task.id, said: task.text() }) },
      })
      gateway.peers.set('b.acme.mesh.internal', serving.address.port)
      const { agent } = await lazy(gateway.address, {
        identity: dir,
        patience: { connectGiveUpMs: 30_000 },
      })
      const delegation = agent.delegate('b', { skill: 'echo', input: 'late' })
      const { id } = delegation
      const events = Array.fromAsync(delegation)
      await appears()
      assert.deepEqual((await delegation.result()).json(), { id, said: 'late' })
      assert.equal((await events).at(-1)?.kind, 'result')
      assert.equal(delegation.peer, 'b.acme.mesh.internal')
    })

    it('serves as soon as it has one', async () => {
      const { agent } = await lazy(gateway.address, { identity: dir })
      const serving = agent.serve({ listen: '127.0.0.1:0', skills: {} })
      await appears()
      assert.ok((await serving).address.port > 0)
    })

    it('is closed while it waits, and so are its calls', async () => {
      const { agent, seen } = await lazy(gateway.address, {
        identity: dir,
        patience: { connectGiveUpMs: 60_000 },
      })
      const closed = { code: 'MESH_CALL_CANCELED', message: 'the agent was closed' }
      const calls = [
        agent.whoAmI(),
        agent.delegate('b', { skill: 'echo' }).result(),
        agent.serve({ listen: '127.0.0.1:0', skills: {} }),
      ].map((call) => assert.rejects(call, closed))
      await agent.close()
      await Promise.all(calls)
      assert.deepEqual(seen(), ['closed'])
      await assert.rejects(agent.whoAmI(), closed)
    })

    it('ends a call whose signal aborts', async () => {
      const { agent } = await lazy(gateway.address, { identity: dir })
      const controller = new AbortController()
      const { signal } = controller
      const delegation = agent.delegate('b', { skill: 'echo', signal })
      controller.abort(new MeshError('MESH_CALL_CANCELED', 'not any more'))
      await assert.rejects(delegation.result(), { message: 'not any more' })
    })

    it('still refuses options that make no sense at once', async () => {
      const options = { gateway: gateway.address, identity: dir, lazy: true, log: silentLog }
      await assert.rejects(createAgent({ ...options, egress: 'ftp://x' }), TypeError)
      await assert.rejects(createAgent({ ...options, gateway: 'nowhere' }), TypeError)
      const spiffe = { agentPath: 'nonsense' } as never
      await assert.rejects(createAgent({ ...options, spiffe }), TypeError)
    })
  })

  it('keeps no process: a program that does nothing more ends by itself', async () => {
    const { address } = await absentGateway()
    const program = `
      import { createAgent } from '@clawmesh/agent-sdk'
      const [, gateway, ...identities] = process.argv
      for (const identity of identities) {
        const agent = await createAgent({ gateway, identity, lazy: true })
        console.log(agent.state().status)
      }`
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', program, address, ready, join(ca.dir, 'nowhere')],
      { cwd: new URL('../../../', import.meta.url) },
    )
    assert.deepEqual(stdout.trim().split('\n'), ['connecting', 'no-identity'])
  })

  it('is closed in every state, and leaves nothing open', async () => {
    const sockets: Socket[] = []
    const silent = createServer(
      (socket) => void sockets.push(socket.on('error', () => {}).resume()),
    )
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    undo.push(async () => {
      for (const socket of sockets) socket.destroy()
      silent.close()
    })
    const bound = silent.address()
    assert.ok(bound !== null && typeof bound === 'object')
    const absent = (await absentGateway()).address
    const present = (await startGateway()).address
    for (const address of [absent, `127.0.0.1:${bound.port}`, present]) {
      const { agent, states } = await lazy(address)
      await agent.close()
      assert.equal(agent.state().status, 'closed')
      assert.equal(states.at(-1)?.status, 'closed')
    }
  })
})

describe('the state of an agent that is not lazy', () => {
  it('is idle before the first call, and then what its calls find', async () => {
    const ca = await makeTestCa()
    const store = await ca.open(await ca.gatewayDir({ name: 'gw', tenants: ['acme'] }))
    const gateway = await startStandInGateway({ store, spiffe: ca.spiffe })
    const identity = await ca.agentDir({ tenant: 'acme', agent: 'a' })
    const agent = await createAgent({ gateway: gateway.address, identity, log: silentLog })
    const seen: string[] = []
    const end = agent.onState(({ status }) => seen.push(status))
    assert.equal(agent.state().status, 'idle')
    await agent.whoAmI()
    assert.equal(agent.state().status, 'connected')
    end()
    await agent.close()
    assert.equal(agent.state().status, 'closed')
    assert.deepEqual(seen, ['connecting', 'connected'])

    const away = await createAgent({
      ...{ gateway: `127.0.0.1:${await freePort()}`, identity, log: silentLog },
      patience: { connectGiveUpMs: 300 },
    })
    await assert.rejects(away.whoAmI())
    const { status, error } = away.state()
    assert.equal(status, 'connecting')
    assert.equal(error?.code, 'MESH_GATEWAY_UNREACHABLE')
    await away.close()
    await gateway.close()
    await ca.close()
  })
})
