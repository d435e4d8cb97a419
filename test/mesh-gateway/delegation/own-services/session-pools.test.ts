import assert from 'node:assert/strict'
import { performServerHandshake, type ServerHttp2Session } from 'node:http2'
import type { Duplex } from 'node:stream'
import { createSessionPools } from '../../../../mesh-gateway/src/delegation/own-services/session-pools.ts'
import { waitFor } from '../../../support/wait-for.ts'

describe('the sessions to the gateway’s own services', () => {
  const closing: (() => void)[] = []
  afterEach(() => {
    for (const close of closing.splice(0)) close()
  })

  /** Each takes so many streams. */
  function open(maxConcurrentStreams: number) {
    const servers: ServerHttp2Session[] = []
    const inject = (far: Duplex) => {
      const server = performServerHandshake(far, { settings: { maxConcurrentStreams } })
      server.on('error', () => {})
      servers.push(server)
    }
    const pools = createSessionPools(inject, 'spiffe://mesh.internal/gateway/gw')
    closing.push(() => pools.close())
    return { pools, servers }
  }
  const full = { code: 'MESH_LIMIT_CONCURRENCY', retryAfterMs: 1_000 }
  const refused = (work: () => unknown) => assert.throws(work, full)

  it('are shared by the calls of a tenant, and by no other', async () => {
    const { pools, servers } = open(2)
    const first = await pools.acquire('acme', 4)
    assert.deepEqual(
      [first.peerId, first.certificate, first.replica, first.active],
      ['spiffe://mesh.internal/gateway/gw', null, null, 1],
    )
    assert.equal(await pools.acquire('acme', 4), first)
    const second = await pools.acquire('acme', 4)
    assert.notEqual(second, first, 'the first is full')
    const other = await pools.acquire('globex', 4)
    assert.ok(other !== first && other !== second)
    assert.equal(servers.length, 3)
    first.release()
    assert.equal(await pools.acquire('acme', 4), first)
  })

  it('are as many as the tenant may have, those that are being opened too', async () => {
    const { pools, servers } = open(1)
    const opening = [pools.acquire('acme', 2), pools.acquire('acme', 2)]
    refused(() => pools.acquire('acme', 2))
    await pools.acquire('globex', 2)
    const [one] = await Promise.all(opening)
    refused(() => pools.acquire('acme', 2))
    assert.ok(one)
    one.release()
    assert.equal(await pools.acquire('acme', 2), one)
    assert.equal(servers.length, 3)
    await pools.acquire('acme', 3)
    assert.equal(servers.length, 4)
  })

  it('leave room when they have closed, and all close at the end', async () => {
    const { pools, servers } = open(1)
    const first = await pools.acquire('acme', 1)
    first.destroy()
    const next = await waitFor('room', () => {
      try {
        return pools.acquire('acme', 1)
      } catch {
        // it is not known to be closed yet
        return undefined
      }
    })
    assert.notEqual(next, first)
    await pools.acquire('globex', 1)
    pools.close()
    await waitFor('the end of all', () => servers.every(({ destroyed }) => destroyed))
    assert.equal(servers.length, 3)
  })
})
