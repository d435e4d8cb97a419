import assert from 'node:assert/strict'
import type { IdentityStore } from '@clawmesh/agent-sdk'
import { silentLog } from '@clawmesh/agent-sdk'
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
})
