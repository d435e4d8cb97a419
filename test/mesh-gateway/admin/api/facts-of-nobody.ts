/** The facts of a gateway in which nothing goes on, for tests of the ways to them. */
import type { OverviewFacts } from '../../../../mesh-gateway/src/admin/api/answer-shapes.ts'
import type { Facts } from '../../../../mesh-gateway/src/admin/api/facts.ts'

const NONE = Object.freeze({ allow: 0, audit: 0, deny: 0 })
const OVERVIEW: OverviewFacts = {
  identity: 'spiffe://mesh.internal/gateway/gw',
  mesh_domain: 'mesh.internal',
  addresses: { egress: '127.0.0.1:8080', delegation: '127.0.0.1:8443', admin: '127.0.0.1:9090' },
  policy: { dir: 'policy', generation: 1, tenants: 1, closed: [] },
  audit: { file: 'audit.log', healthy: true },
  decisions: { egress: NONE, delegation: NONE },
  open: { calls: 0, tunnels: 0 },
  memory_bytes: 1,
}

export function makeFacts(more: Partial<Facts> = {}): Facts {
  return {
    overview: () => OVERVIEW,
    decisions: () => ({ lines: [], more: false }),
    edges: () => ({ edges: [], left_out: 0 }),
    tasks: () => [],
    open: () => ({ calls: 0, tunnels: 0, lines: [] }),
    peers: () => [],
    limits: () => ({ counted_in: 'process', uses: [] }),
    certificates: () => [],
    explain: () => ({
      ...{ plane: 'delegation', within_chain: false, action: 'allow', code: null, reason: null },
      ...{ rule: null, file: null, mode: 'enforce', hint: null, limits: {} },
    }),
    replay: () => 'busy',
    ...more,
  }
}
