/** Which connections a port takes, and which it closes for them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ConnectionGateLimits,
  createConnectionGate,
  type GatedClient,
  gateConnections,
} from '../../../mesh-gateway/src/limits/connection-gate.ts'
import { listenOnFreePort } from '../../support/http-origin.ts'

describe('a gate of connections', () => {
  it('closes none for one that comes too fast to be let in', async () => {
    const reasons: string[] = []
    const gate = createConnectionGate({
      limits: {
        ...{ maxConnections: 100, maxUnauthenticated: 100, maxUnauthenticatedPerAddress: 100 },
        ...{ maxConnectionsPerAddress: 2, newConnectionsPerSecond: 1, minEvictionAgeMs: 0 },
        authenticateMs: null,
      },
      refused: (reason) => void reasons.push(reason),
      now: () => 0,
    })
    const server = createServer((socket) => socket.on('error', () => {}).write('in'))
    gateConnections(server, gate)
    const clients: Socket[] = []
    const dial = () => {
      const client = connect(port, '127.0.0.1').on('error', () => {})
      clients.push(client)
      return client
    }
    const port = await listenOnFreePort(server)
    try {
      const first = dial()
      await once(first, 'data')
      await once(dial(), 'data')
      await new Promise((resolve) => dial().once('close', resolve))
      assert.deepEqual(reasons, ['connection-rate'])
      assert.equal(first.closed, false)
    } finally {
      for (const client of clients) client.destroy()
      server.close()
      gate.closeAll()
    }
  })

  describe('with clients that have not authenticated', () => {
    let reasons: string[]
    let clients: Socket[]
    let nowMs: number
    beforeEach(() => {
      reasons = []
      clients = []
      nowMs = 0
    })

    const closing = (client: Socket) =>
      new Promise((settled) => client.resume().once('close', settled))
    async function open(
      limits: Partial<ConnectionGateLimits>,
      unixSocket: boolean,
      use: (dial: () => Promise<Socket>, known: GatedClient[]) => Promise<void>,
    ) {
      const gate = createConnectionGate({
        limits: {
          ...{ maxConnections: 100, maxUnauthenticated: 100, maxUnauthenticatedPerAddress: 100 },
          ...{ maxConnectionsPerAddress: 100, newConnectionsPerSecond: 100, minEvictionAgeMs: 0 },
          authenticateMs: null,
          ...limits,
        },
        refused: (reason) => void reasons.push(reason),
        unixSocket,
        now: () => nowMs,
      })
      const known: GatedClient[] = []
      const server = createServer((socket) => {
        const client = gate.of(socket)
        if (client !== null) known.push(client)
        socket.on('error', () => {}).write('in')
      })
      gateConnections(server, gate)
      const dir = await mkdtemp(join(tmpdir(), 'clawmesh-gate-'))
      const path = join(dir, 'gate.sock')
      if (unixSocket) await once(server.listen(path), 'listening')
      const port = unixSocket ? 0 : await listenOnFreePort(server)
      /** A connection: let in, or closed. */
      const dial = async () => {
        const client = unixSocket ? connect(path) : connect(port, '127.0.0.1')
        clients.push(client.on('error', () => {}))
        await new Promise((settled) => client.once('data', settled).once('close', settled))
        return client
      }
      try {
        await use(dial, known)
      } finally {
        for (const client of clients) client.destroy()
        server.close()
        gate.closeAll()
        await rm(dir, { recursive: true })
      }
    }

    it('closes the oldest of an address for its next, and none that has authenticated', () =>
      open({ maxUnauthenticatedPerAddress: 2 }, false, async (dial, known) => {
        const first = await dial()
        known[0]?.setAuthenticated(true)
        const second = await dial()
        const third = await dial()
        assert.deepEqual(reasons, [])
        const closed = closing(second)
        await dial()
        await closed
        assert.deepEqual(reasons, ['handshakes'])
        assert.equal(first.closed || third.closed, false)
        assert.deepEqual(
          known.map(({ authenticated }) => authenticated),
          [true, true, false, false],
        )
      }))

    it('refuses the new one while the others are too young to be closed', () =>
      open({ maxUnauthenticatedPerAddress: 1, minEvictionAgeMs: 1_000 }, false, async (dial) => {
        const first = await dial()
        nowMs = 999
        assert.equal((await dial()).closed, true)
        assert.equal(first.closed, false)
        nowMs = 1_000
        const closed = closing(first)
        assert.equal((await dial()).closed, false)
        await closed
        assert.deepEqual(reasons, ['handshakes', 'handshakes'])
      }))

    it('closes one that does not authenticate in time', () =>
      open({ authenticateMs: 20 }, false, async (dial) => {
        const client = await dial()
        if (!client.closed) await closing(client)
        assert.deepEqual(reasons, ['handshake-timeout'])
      }))

    it('has no bounds of an address where clients have none, at a Unix socket', () =>
      open(
        {
          ...{ maxUnauthenticatedPerAddress: 1, maxConnectionsPerAddress: 1 },
          newConnectionsPerSecond: 1,
        },
        true,
        async (dial) => {
          for (let made = 0; made < 4; made += 1) assert.equal((await dial()).closed, false)
          assert.deepEqual(reasons, [])
        },
      ))
  })
})
