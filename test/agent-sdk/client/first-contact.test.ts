import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { mock } from 'node:test'
import { type Agent, type AgentOptions, MeshError, silentLog } from '@clawmesh/agent-sdk'
import { uuidV7 } from '@clawmesh/proto'
import { createFirstContact } from '../../../agent-sdk/src/client/first-contact.ts'
import { freePort } from '../../../scripts/dev/free-ports.ts'
import { waitFor } from '../../support/wait-for.ts'
import { type StandInMesh, startStandInMesh } from '../stand-in/mesh.ts'

describe('an agent that has not reached its gateway', () => {
  let mesh: StandInMesh
  let silent: Server
  const agents: Agent[] = []
  before(async () => {
    mesh = await startStandInMesh()
    // what is loaded at the first call of a process is not what is waited for
    await mesh.a.whoAmI()
    // TCP stands, and nothing comes back: as behind a firewall
    silent = createServer((socket) => void socket.on('error', () => {}).resume())
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
  })
  afterEach(async () => {
    await Promise.all(agents.splice(0).map((agent) => agent.close()))
  })
  after(async () => {
    silent.close()
    await mesh.close()
  })

  async function lost(gateway: string, more: Partial<AgentOptions> = {}) {
    const heard: { fields: object; message: string }[] = []
    const agent = await mesh.agent('lost', {
      gateway,
      patience: { connectGiveUpMs: 1_500 },
      log: { ...silentLog, warn: (fields, message) => void heard.push({ fields, message }) },
      ...more,
    })
    agents.push(agent)
    return { agent, heard }
  }
  const unreached = (gateway: string, cause: RegExp) => (error: unknown) => {
    assert.ok(error instanceof MeshError)
    assert.equal(error.code, 'MESH_GATEWAY_UNREACHABLE')
    const said = `the gateway ${gateway} has not been reached: `
    assert.ok(error.message.startsWith(said), error.message)
    assert.match(error.message.slice(said.length), cause)
    assert.match(error.hint, /connectGiveUpMs/)
    return true
  }
  /** Each kind of call that an agent makes. */
  const calls = (agent: Agent) => [
    agent.whoAmI(),
    agent.peers(),
    agent.explain('b'),
    agent.get('b', uuidV7()),
    Array.fromAsync(agent.list('b')),
    agent.delegate('b', { skill: 'echo' }).result(),
    agent.watch('b', uuidV7()).result(),
    agent.fetch('https://example.test/'),
  ]

  it('says in time that nobody listens there, of each kind of call', async () => {
    const gateway = `127.0.0.1:${await freePort()}`
    const { agent } = await lost(gateway, { egress: 'http://127.0.0.1:1' })
    const refused = unreached(gateway, /^connect ECONNREFUSED 127\.0\.0\.1:\d+$/)
    await Promise.all(calls(agent).map((call) => assert.rejects(call, refused)))
  })

  it('says in time that nothing comes back, of each kind of call', async () => {
    const gateway = `127.0.0.1:${(silent.address() as AddressInfo).port}`
    const { agent } = await lost(gateway, { egress: 'http://127.0.0.1:1' })
    const silence = unreached(gateway, /^it does not answer$/)
    await Promise.all(calls(agent).map((call) => assert.rejects(call, silence)))
  })

  it('says of a port without TLS, such as the egress port, that it is another one', async () => {
    const plain = createHttpServer((_request, response) => void response.end())
    plain.listen(0, '127.0.0.1')
    await once(plain, 'listening')
    try {
      const gateway = `127.0.0.1:${(plain.address() as AddressInfo).port}`
      const { agent } = await lost(gateway)
      const other =
        /^what listens there speaks no TLS: the delegation port of a gateway is 8443 by default$/
      await Promise.all(
        [agent.whoAmI(), agent.delegate('b', { skill: 'echo' }).result()].map((call) =>
          assert.rejects(call, unreached(gateway, other)),
        ),
      )
    } finally {
      plain.closeAllConnections()
      plain.close()
    }
  })

  it('says in time that the name is not known', async () => {
    const gateway = 'gateway.invalid:8443'
    const { agent } = await lost(gateway)
    await assert.rejects(
      agent.whoAmI(),
      unreached(gateway, /^Name resolution failed for target dns:gateway\.invalid:8443$/),
    )
  })

  it('says so within 3 s by default', async () => {
    const options = { target: 'gw:1', log: silentLog, refusal: () => null }
    mock.timers.enable({ apis: ['setTimeout'] })
    try {
      const contact = createFirstContact(options)
      const attempt = contact.begin(new AbortController().signal)
      mock.timers.tick(2_000)
      assert.equal(attempt.failure(), null, 'and not on the first packet that is lost')
      mock.timers.tick(999)
      assert.ok(attempt.signal.aborted)
      unreached('gw:1', /^it does not answer$/)(attempt.failure())
    } finally {
      mock.timers.reset()
    }
    // by its own defaults, of which only a hang is longer
    const gateway = `127.0.0.1:${await freePort()}`
    const { agent } = await lost(gateway, { patience: {} })
    const call = agent.delegate('b', { skill: 'echo' })
    await assert.rejects(call.result(), unreached(gateway, /ECONNREFUSED/))
  })

  it('waits for a gateway that starts later, when it is told to', async () => {
    await mesh.serve({ skills: { echo: (task) => task.text() } })
    await mesh.gateway.kill()
    const { agent, heard } = await lost(mesh.gateway.address, {
      patience: { connectGiveUpMs: 600_000, startGiveUpMs: 1 },
    })
    const who = agent.whoAmI()
    const task = agent.delegate('b', { skill: 'echo', input: 'late' })
    const tried = () => heard.find(({ message }) => message.includes('trying again'))
    await waitFor('another try', tried)
    await mesh.gateway.revive()
    assert.equal((await task.result()).text(), 'late')
    assert.match((await who).id, /agent\/lost$/)
  })

  it('tries as long as ever once it was reached', async () => {
    await mesh.serve({ skills: { echo: (task) => task.text() } })
    const { agent, heard } = await lost(mesh.gateway.address, {
      patience: { connectGiveUpMs: 1_000 },
    })
    await agent.whoAmI()
    await mesh.gateway.kill()
    const task = agent.delegate('b', { skill: 'echo', input: 'again' })
    const tries = () => (heard.length > 4 ? heard : undefined)
    await waitFor('tries for longer than a second', tries)
    await mesh.gateway.revive()
    assert.equal((await task.result()).text(), 'again')
  })

  it('warns of it when it tries for longer, and when it serves', async () => {
    const port = await freePort()
    const gateway = `127.0.0.1:${port}`
    const { agent, heard } = await lost(gateway, { patience: { connectGiveUpMs: 600_000 } })
    const told = () => heard.find(({ message }) => message.includes('has not been reached'))
    const call = agent.whoAmI().catch((error: unknown) => error)
    const { fields, message } = await waitFor('the warning', told)
    assert.match(message, /ECONNREFUSED 127\.0\.0\.1:\d+; it is tried again$/)
    assert.ok('code' in fields && fields.code === 'MESH_GATEWAY_UNREACHABLE')
    await agent.close()
    assert.ok((await call) instanceof MeshError)

    const warnings: string[] = []
    const warn = (_: object, text: string) => void warnings.push(text)
    const contact = createFirstContact({ target: 'gw:1', log: { warn }, refusal: () => null })
    mock.timers.enable({ apis: ['setTimeout'] })
    try {
      contact.begin(new AbortController().signal)
      contact.beginEndless()
      mock.timers.tick(60_000)
    } finally {
      mock.timers.reset()
    }
    assert.deepEqual(warnings, [
      'the gateway gw:1 has not been reached: it does not answer; it is tried again',
    ])
  })

  it('tells a handshake that was refused at once, and of what is watched in time', async () => {
    const contact = createFirstContact({
      ...{ target: 'gw:1', log: silentLog, giveUpMs: 1 },
      refusal: () => new MeshError('MESH_GATEWAY_UNTRUSTED'),
    })
    const { signal } = contact.begin(new AbortController().signal)
    if (!signal.aborted) await once(signal, 'abort')
    const reason: unknown = signal.reason
    assert.ok(reason instanceof MeshError)
    assert.equal(reason.code, 'MESH_GATEWAY_UNTRUSTED')
  })
})
