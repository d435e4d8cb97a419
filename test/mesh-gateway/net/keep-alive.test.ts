import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { silentLog } from '@clawmesh/agent-sdk'
import { channelCredentials, listenForCalls } from '@clawmesh/agent-sdk/calls'
import { checkIsGateway, type IdentityStore } from '@clawmesh/agent-sdk/mesh'
import { Client, Server as GrpcServer } from '@grpc/grpc-js'
import { openRedisLink } from '../../../mesh-gateway/src/limits/redis/redis-link.ts'
import { listenOnFreePort } from '../../support/http-origin.ts'
import { type KeepAliveTimers, keepAliveTimers } from '../../support/keep-alive-timers.ts'
import { waitFor } from '../../support/wait-for.ts'
import { call, echo, GATEWAY, type Fixture as Mesh, makeFixture } from '../delegation/fixture.ts'
import { rawClient } from '../egress/fixture.ts'
import { basic, connectTo, get, type Setup, setUp } from '../egress/setup.ts'

const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

describe('a connection that may be silent for long is kept alive', () => {
  before(async function () {
    if ((await keepAliveTimers(1)) !== null) return
    process.stderr.write('left out: this system has no /proc/net/tcp\n')
    this.skip()
  })

  /** What was just sent has a timer of its own until it is acknowledged. */
  function kept(what: string, port: number, side: keyof KeepAliveTimers): Promise<unknown> {
    return waitFor(`${what} to be kept alive`, async () => {
      const timers = (await keepAliveTimers(port))?.[side] ?? []
      return timers.length > 0 && timers.every((timer) => timer)
    })
  }

  describe('at the egress port', () => {
    let setup: Setup
    beforeEach(() => {
      setup = setUp()
    })
    afterEach(() => setup.close())

    it('from the client, and to the destination of a request and of a tunnel', async () => {
      const { port } = await setup.upstream((socket) => {
        socket.on('data', () => socket.write(ANSWER))
      })
      const egress = await setup.egress(port)
      const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
      const client = await rawClient(egress.number)
      client.send(get(port, auth))
      await client.until((text) => text.endsWith('ok'))
      const other = await rawClient(egress.number)
      other.send(connectTo(port, auth))
      await other.until((text) => text.startsWith('HTTP/1.1 200 '))
      await kept('clients', egress.number, 'accepted')
      await kept('destinations', port, 'dialled')
      client.socket.destroy()
      other.socket.destroy()
    })
  })

  describe('at the delegation port', () => {
    let mesh: Mesh
    let planner: IdentityStore
    before(async () => {
      mesh = await makeFixture()
      planner = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
    })
    after(() => mesh.close())

    it('from the caller, and to the peer', async () => {
      const peer = await mesh.peer('researcher', echo)
      const session = await mesh.connect(planner)
      assert.equal((await call(session, { ':authority': peer.name })).status, 0)
      await kept('callers', mesh.port.address.port, 'accepted')
      await kept('peers', peer.port, 'dialled')
      session.destroy()
    })

    it('by the SDK, of a caller and of a callee', async () => {
      const server = new GrpcServer()
      const listener = await listenForCalls({ server, store: planner, spiffe: mesh.ca.spiffe })
      const dialled = connect(listener.address.port, '127.0.0.1')
      await once(dialled, 'connect')
      await kept('callers of an agent', listener.address.port, 'accepted')
      dialled.destroy()
      await listener.close()
      const credentials = channelCredentials(planner, {
        ...{ spiffe: mesh.ca.spiffe, expect: checkIsGateway, servername: GATEWAY },
      })
      const { port } = mesh.port.address
      const client = new Client(`127.0.0.1:${port}`, credentials)
      await new Promise<void>((resolve, reject) =>
        client.waitForReady(Date.now() + 10_000, (error) => (error ? reject(error) : resolve())),
      )
      await kept('connections to the gateway', port, 'dialled')
      client.close()
    })
  })

  it('to Redis', async () => {
    const sockets: Socket[] = []
    const server: Server = createServer((socket) => {
      sockets.push(socket)
      socket.on('error', () => {})
    })
    const port = await listenOnFreePort(server)
    const link = await openRedisLink({
      ...{ url: `redis://127.0.0.1:${port}`, username: null, password: null, ca: null },
      ...{ onState: () => {}, log: silentLog },
    })
    await kept('the connection', port, 'dialled')
    await link.close()
    for (const socket of sockets) socket.destroy()
    const closed = once(server, 'close')
    server.close()
    await closed
  })
})
