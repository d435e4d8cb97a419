import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  type ClientHttp2Session,
  connect,
  createSecureServer,
  type Http2Session,
  type ServerHttp2Session,
} from 'node:http2'
import { Duplex } from 'node:stream'
import tls from 'node:tls'
import { createAgent, silentLog } from '@clawmesh/agent-sdk'
import { listenForCalls } from '@clawmesh/agent-sdk/calls'
import {
  checkAgent,
  clientTlsOptions,
  type IdentityStore,
  serverTlsOptions,
} from '@clawmesh/agent-sdk/mesh'
import { Server as GrpcServer } from '@grpc/grpc-js'
import { createBacklog } from '../../../../mesh-gateway/src/delegation/carry/backlog.ts'
import { listenOnFreePort } from '../../../support/http-origin.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { call, echo, type Fixture, GATEWAY, makeFixture } from '../fixture.ts'

const MIB = 1024 * 1024
const PATH_MIB = 4

/** What the other side lets this session send before it has read: on a stream, and on all together. */
async function allowed(session: Http2Session, connectionBytes: number): Promise<number> {
  await waitFor('the window of the connection', () =>
    (session.state.remoteWindowSize ?? 0) >= connectionBytes ? true : null,
  )
  return (session.remoteSettings.initialWindowSize ?? 0) / MIB
}

describe('the windows of a delegated call hold what a long fat path has under way', () => {
  let mesh: Fixture
  let planner: IdentityStore
  before(async () => {
    mesh = await makeFixture()
    planner = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
  })
  after(() => mesh.close())

  it('from a caller to the gateway, and from a peer to the gateway', async () => {
    let towardsGateway: Http2Session | undefined
    const peer = await mesh.peer('researcher', (stream) => {
      towardsGateway = stream.session
      echo(stream)
    })
    const session = await mesh.connect(planner)
    assert.equal((await call(session, { ':authority': peer.name })).status, 0)
    assert.equal(await allowed(session, PATH_MIB * MIB), PATH_MIB)
    assert.ok(towardsGateway)
    assert.equal(await allowed(towardsGateway, PATH_MIB * MIB), PATH_MIB)
    session.destroy()
  })

  it('from the gateway to a caller with the SDK', async () => {
    const { ca } = mesh
    const gateway = await ca.open(await ca.gatewayDir({ name: 'gw-2', tenants: ['acme'] }))
    const server = createSecureServer(serverTlsOptions(gateway.current()))
    const port = await listenOnFreePort(server)
    const arrived = once(server, 'session')
    const agent = await createAgent({
      gateway: `127.0.0.1:${port}`,
      identity: await ca.agentDir({ tenant: 'acme', agent: 'caller' }),
      log: silentLog,
    })
    const asking = agent.whoAmI().catch(() => {})
    const [session]: ServerHttp2Session[] = await arrived
    assert.ok(session)
    session.on('error', () => {})
    assert.equal(await allowed(session, PATH_MIB * MIB - 1), PATH_MIB)
    session.destroy()
    await agent.close()
    await asking
    const closed = once(server, 'close')
    server.close()
    await closed
  })

  it('from the gateway to a callee with the SDK', async () => {
    const { ca } = mesh
    const gateway = await ca.open(await ca.gatewayDir({ name: 'gw-3', tenants: ['acme'] }))
    const listener = await listenForCalls({
      ...{ server: new GrpcServer(), store: planner, spiffe: ca.spiffe },
    })
    const host = 'planner.acme.mesh.internal'
    const check = checkAgent({ tenant: 'acme', agent: 'planner' }, host)
    const options = clientTlsOptions(gateway.current(), ca.spiffe, check, { servername: host })
    const session: ClientHttp2Session = connect(`https://${GATEWAY}`, {
      createConnection: () => tls.connect({ ...options, ...listener.address }),
    })
    session.on('error', () => {})
    await once(session, 'remoteSettings')
    assert.equal(await allowed(session, PATH_MIB * MIB - 1), PATH_MIB)
    session.destroy()
    await listener.close()
  })
})

describe('what waits for slow readers', () => {
  /** A flow that holds so much, of a connection. */
  function flow(connection: object, bytes: number, cut: string[], name: string) {
    const from = new Duplex({ read() {}, write() {} })
    from.push(Buffer.alloc(bytes))
    return {
      from,
      to: new Duplex({ read() {}, write() {} }),
      connection,
      cut: () => cut.push(name),
    }
  }

  it('is bounded for one connection, whose oldest flows end, and leaves others alone', () => {
    const cut: string[] = []
    const backlog = createBacklog(16 * MIB, 4 * MIB)
    const [one, other] = [{}, {}]
    for (const name of ['a', 'b', 'c']) backlog.stalled(flow(one, 4 * MIB, cut, name))
    backlog.stalled(flow(other, 4 * MIB, cut, 'other'))
    backlog.sweep()
    assert.deepEqual(cut, ['a'])
  })

  it('is bounded in all, whoever has it', () => {
    const cut: string[] = []
    const backlog = createBacklog(16 * MIB, 4 * MIB)
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) backlog.stalled(flow({}, 4 * MIB, cut, name))
    backlog.sweep()
    assert.deepEqual(cut, ['a', 'b'])
  })

  it('is looked at again by itself, since what has come to a stop fills up later', async () => {
    const cut: string[] = []
    const backlog = createBacklog(16 * MIB, 4 * MIB)
    const flows = ['a', 'b', 'c', 'd', 'e'].map((name) => flow({}, 0, cut, name))
    for (const one of flows) backlog.stalled(one)
    for (const { from } of flows) from.push(Buffer.alloc(4 * MIB))
    await waitFor('the oldest to end', () => cut.length > 0)
    assert.deepEqual(cut, ['a'])
  })
})
