import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { mock } from 'node:test'
import { channelCredentials, listenForCalls } from '@clawmesh/agent-sdk/calls'
import { checkIsGateway } from '@clawmesh/agent-sdk/mesh'
import { Client, Server as GrpcServer } from '@grpc/grpc-js'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'
import { waitFor } from '../../support/wait-for.ts'

describe('a handshake that is not answered', () => {
  let ca: TestCa
  let server: Server
  before(async () => {
    ca = await makeTestCa()
    server = createServer((socket) => void socket.on('error', () => {}).resume())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  after(async () => {
    server.close()
    await ca.close()
  })

  /** A client that has sent its hello, and the server's side of that connection. */
  async function waiting(more: { handshakeTimeoutMs?: number } = {}) {
    const store = await ca.open(await ca.agentDir({ tenant: 'acme', agent: 'a' }))
    const { port } = server.address() as AddressInfo
    const credentials = channelCredentials(store, {
      ...{ spiffe: ca.spiffe, expect: checkIsGateway },
      ...more,
    })
    const client = new Client(`127.0.0.1:${port}`, credentials)
    const accepted = once(server, 'connection')
    const failed = new Promise<Error>((resolve) => {
      const pass = (bytes: Buffer) => bytes
      client.makeUnaryRequest('/a.B/C', pass, pass, Buffer.alloc(0), (error) => {
        if (error !== null) resolve(error)
      })
    })
    const [socket]: Socket[] = await accepted
    assert.ok(socket !== undefined)
    await once(socket, 'data')
    return { client, failed, closed: once(socket, 'close') }
  }

  it('ends with its client', async () => {
    // long before the handshake is given up, which is later than this test may take
    const { client, closed } = await waiting({ handshakeTimeoutMs: 90_000 })
    client.close()
    await closed
  })

  it('is not begun for a client that has gone, and is left alone when it is done', async () => {
    const gateway = await ca.open(await ca.gatewayDir({ name: 'gw', tenants: ['acme'] }))
    const agent = await ca.open(await ca.agentDir({ tenant: 'acme', agent: 'c' }))
    const { spiffe } = ca
    const listener = await listenForCalls({ server: new GrpcServer(), store: gateway, spiffe })
    try {
      const { port } = listener.address
      const connector = channelCredentials(agent, {
        ...{ spiffe, expect: checkIsGateway },
      })._createSecureConnector({ path: `127.0.0.1:${port}` }, {})
      const dial = async () => {
        const socket = connect(port, '127.0.0.1')
        await once(socket, 'connect')
        return socket
      }
      const { socket: done } = await connector.connect(await dial())
      connector.destroy()
      assert.equal(done.destroyed, false)
      done.destroy()
      const late = await dial()
      await assert.rejects(connector.connect(late), /the client is closed/)
      late.destroy()
    } finally {
      await listener.close()
    }
  })

  it('is given up, so that another connection is tried', async () => {
    const { client, failed, closed } = await waiting({ handshakeTimeoutMs: 50 })
    assert.match((await failed).message, /the handshake was not answered in time/)
    await closed
    client.close()
  })

  it('leaves no clock that runs on: not when it is done, not when its client has gone', async () => {
    // tells the clock of the handshake from all others
    const handshakeTimeoutMs = 19_997
    const started = mock.method(globalThis, 'setTimeout')
    const stopped = mock.method(globalThis, 'clearTimeout')
    try {
      const clocks = () =>
        started.mock.calls.flatMap(({ arguments: [, ms], result }) =>
          ms === handshakeTimeoutMs ? [result] : [],
        )
      const isStopped = (clock: unknown) =>
        stopped.mock.calls.some(({ arguments: [stops] }) => stops === clock)
      const { client, closed } = await waiting({ handshakeTimeoutMs })
      const [first] = clocks()
      assert.ok(first !== undefined)
      assert.equal(isStopped(first), false)
      client.close()
      await closed
      await waitFor('the clock to stop', () => isStopped(first))

      const gateway = await ca.open(await ca.gatewayDir({ name: 'gw', tenants: ['acme'] }))
      const agent = await ca.open(await ca.agentDir({ tenant: 'acme', agent: 'b' }))
      const answering = new GrpcServer()
      const { spiffe } = ca
      const listener = await listenForCalls({ server: answering, store: gateway, spiffe })
      const credentials = channelCredentials(agent, {
        ...{ spiffe, expect: checkIsGateway, handshakeTimeoutMs },
      })
      const done = new Client(`127.0.0.1:${listener.address.port}`, credentials)
      await new Promise<void>((resolve, reject) =>
        done.waitForReady(Number.POSITIVE_INFINITY, (error) => (error ? reject(error) : resolve())),
      )
      const [, second] = clocks()
      assert.ok(second !== undefined && isStopped(second))
      done.close()
      await listener.close()
      answering.forceShutdown()
    } finally {
      started.mock.restore()
      stopped.mock.restore()
    }
  })
})
