import assert from 'node:assert/strict'
import { once } from 'node:events'
import { constants, createSecureServer } from 'node:http2'
import { connect, createServer, type Socket } from 'node:net'
import { type IdentityStore, serverTlsOptions } from '@clawmesh/agent-sdk/mesh'
import { type DeadAddress, startDeadAddress } from '../../../support/dead-address.ts'
import { listenOnFreePort } from '../../../support/http-origin.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { call, echo, type Fixture, makeFixture } from '../fixture.ts'

/** Far beyond what a test may take: only a gateway that waits for each address in turn comes near it. */
const DIAL_MS = 60_000

describe('a peer of which some addresses do not answer', () => {
  let mesh: Fixture
  let planner: IdentityStore
  let dead: DeadAddress
  const closing: (() => Promise<void>)[] = []
  beforeEach(async () => {
    dead = await startDeadAddress('127.0.0.2')
    mesh = await makeFixture(undefined, { dialTimeoutMs: DIAL_MS })
    planner = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
  })
  afterEach(async () => {
    await mesh.close()
    for (const close of closing.splice(0)) await close()
    await dead.close()
  })

  it('is reached by the address that does, and the record has that address', async () => {
    const peer = await mesh.peer('researcher', echo)
    const gone = { ip: dead.host, port: dead.port }
    const live = { ip: '127.0.0.1', port: peer.port }
    const session = await mesh.connect(planner)
    // whichever comes first
    for (const addresses of [
      [live, gone],
      [gone, live],
    ]) {
      mesh.names.set(peer.name, addresses)
      const record = mesh.nextRecord()
      assert.equal((await call(session, { ':authority': peer.name })).status, 0)
      assert.equal((await record).destination_ip, '127.0.0.1')
    }
  })

  it('is not called for a caller that left while it was dialled, and keeps no place for it', async () => {
    const own = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'slow' }))
    let streams = 0
    const server = createSecureServer({
      ...serverTlsOptions(own.current()),
      settings: { maxConcurrentStreams: 1 },
    })
    server.on('session', (one) => one.on('error', () => {}))
    server.on('stream', (stream) => {
      streams += 1
      stream.on('error', () => {})
      echo(stream)
    })
    const behind = await listenOnFreePort(server)
    const held = Promise.withResolvers<void>()
    closing.push(async () => {
      for (const socket of connections) socket.destroy()
      const closed = [once(front, 'close'), once(server, 'close')]
      front.close()
      server.close()
      await Promise.all(closed)
    })
    const connections: Socket[] = []
    const front = createServer((socket) => {
      connections.push(socket)
      socket.on('error', () => {})
      const further = connect(behind, '127.0.0.1')
      connections.push(further)
      further.on('error', () => {})
      held.promise.then(() => socket.pipe(further).pipe(socket))
    })
    const port = await listenOnFreePort(front)
    const name = 'slow.acme.mesh.internal'
    mesh.names.set(name, [{ ip: '127.0.0.1', port }])
    const session = await mesh.connect(planner)
    const record = mesh.nextRecord()
    const arrived = once(front, 'connection')
    const stream = session.request({
      ':method': 'POST',
      ':path': '/test.v1.Echo/Unary',
      ':authority': name,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    stream.on('error', () => {})
    await arrived
    stream.close(constants.NGHTTP2_CANCEL)
    assert.equal((await record).reason, 'MESH_CALL_CANCELED')
    held.resolve()
    const dials = async () =>
      /dial_duration_seconds_count\{plane="delegation"\} [1-9]/.test(await mesh.metrics.text())
    await waitFor('the connection to stand', dials)
    for (let again = 0; again < 3; again += 1)
      assert.equal((await call(session, { ':authority': name })).status, 0)
    assert.deepEqual(
      { streams, connections: connections.length / 2 },
      { streams: 3, connections: 1 },
    )
  })
})
