import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createSecureServer } from 'node:http2'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { silentLog } from '@clawmesh/agent-sdk'
import { type IdentityStore, serverTlsOptions } from '@clawmesh/agent-sdk/mesh'
import { createUpstreams } from '../../../../mesh-gateway/src/delegation/upstream/upstreams.ts'
import { ResolveFailure } from '../../../../mesh-gateway/src/resolve/resolver.ts'
import { createMetrics } from '../../../../mesh-gateway/src/telemetry/create-metrics.ts'
import { makeTestCa, type TestCa } from '../../../support/test-ca.ts'

describe('the sessions to peers', () => {
  let ca: TestCa
  let identity: IdentityStore
  before(async () => {
    ca = await makeTestCa()
    identity = await ca.open(await ca.gatewayDir({ name: 'gw-1', tenants: ['acme'] }))
  })
  after(() => ca.close())

  it('leave nothing behind for names and ports that are asked for once', async () => {
    const metrics = createMetrics()
    const upstreams = createUpstreams({
      identity,
      spiffe: ca.spiffe,
      resolver: {
        addresses: () => Promise.reject(new ResolveFailure('not-found')),
        services: () => Promise.reject(new ResolveFailure('not-found')),
        close() {},
      },
      metrics,
      log: silentLog,
      peerPorts: Array.from({ length: 5_000 }, (_, i) => i + 1),
    })
    const host = 'researcher.acme.mesh.internal'
    const about = { delegationId: null, replica: null }
    for (let port = 1; port <= 5_000; port += 1) {
      const key = `${host}:${port}`
      const peer = { tenant: 'acme', agent: 'researcher' }
      const route = { kind: 'peer', peer, host, port, key } as const
      await assert.rejects(Promise.resolve(upstreams.acquire('acme', route, about)), {
        code: 'MESH_PEER_UNRESOLVED',
      })
    }
    assert.ok(upstreams.known <= 1_024, `${upstreams.known} are remembered`)
    upstreams.close()
    metrics.close()
  })

  it('are not made any more once they are closed, nor those that are being made', async () => {
    const mute = createServer()
    const sockets: Socket[] = []
    mute.on('connection', (socket) => void sockets.push(socket.on('error', () => {})))
    mute.listen(0, '127.0.0.1')
    await once(mute, 'listening')
    const { port } = mute.address() as AddressInfo
    const metrics = createMetrics()
    const upstreams = createUpstreams({
      ...{ identity, spiffe: ca.spiffe, metrics, log: silentLog, peerPorts: [port] },
      resolver: {
        async addresses() {
          return [{ ip: '127.0.0.1', ttlMs: 60_000 }]
        },
        services: () => Promise.reject(new ResolveFailure('not-found')),
        close() {},
      },
    })
    const host = 'researcher.acme.mesh.internal'
    const peer = { tenant: 'acme', agent: 'researcher' }
    const route = { kind: 'peer', peer, host, port, key: `${host}:${port}` } as const
    const acquire = async () =>
      await upstreams.acquire('acme', route, { delegationId: null, replica: null })
    // it accepts, and never answers the handshake
    const waiting = assert.rejects(acquire(), { code: 'MESH_PEER_UNREACHABLE' })
    await once(mute, 'connection')
    const ended = once(sockets[0] ?? assert.fail(), 'close')
    upstreams.close()
    await waiting
    await ended
    await assert.rejects(acquire(), { code: 'MESH_GATEWAY_DRAINING' })
    assert.equal(sockets.length, 1)
    metrics.close()
    mute.close()
  })

  it('carry the calls that waited for them, and no more, when the gateway’s certificate has changed while dialling', async () => {
    const own = await ca.open(await ca.agentDir({ tenant: 'acme', agent: 'researcher' }))
    const server = createSecureServer(serverTlsOptions(own.current()))
    let connections = 0
    server.on('session', (session) => {
      connections += 1
      session.on('error', () => {})
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    let generation = 1
    const changing: IdentityStore = {
      ...identity,
      current: () => ({ ...identity.current(), generation }),
    }
    const metrics = createMetrics()
    const upstreams = createUpstreams({
      ...{ identity: changing, spiffe: ca.spiffe, metrics, log: silentLog, peerPorts: [port] },
      resolver: {
        async addresses() {
          return [{ ip: '127.0.0.1', ttlMs: 60_000 }]
        },
        services: () => Promise.reject(new ResolveFailure('not-found')),
        close() {},
      },
    })
    const host = 'researcher.acme.mesh.internal'
    const peer = { tenant: 'acme', agent: 'researcher' }
    const route = { kind: 'peer', peer, host, port, key: `${host}:${port}` } as const
    const about = { delegationId: null, replica: null }
    const acquire = async () => await upstreams.acquire('acme', route, about)
    const [first, beside] = await Promise.all([
      acquire(),
      acquire(),
      once(server, 'secureConnection').then(() => {
        generation += 1
      }),
    ])
    assert.equal(beside, first)
    await new Promise((resolve) => setImmediate(resolve))
    const later = await acquire()
    assert.notEqual(later, first)
    assert.equal(await acquire(), later)
    assert.equal(connections, 2)
    upstreams.close()
    metrics.close()
    server.close()
  })
})
