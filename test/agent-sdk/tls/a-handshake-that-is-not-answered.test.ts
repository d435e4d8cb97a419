import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { channelCredentials, checkIsGateway } from '@clawmesh/agent-sdk/mesh'
import { Client } from '@grpc/grpc-js'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'

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
    const { client, closed } = await waiting()
    client.close()
    await closed
  })

  it('is given up, so that another connection is tried', async () => {
    const { client, failed, closed } = await waiting({ handshakeTimeoutMs: 50 })
    assert.match((await failed).message, /the handshake was not answered in time/)
    await closed
    client.close()
  })
})
