/** Lines of an audit log about delegations in one tree, as the gateway writes them. */
import { uuidV7 } from '@clawmesh/proto'

export const BEGAN_MS = Date.UTC(2026, 10, 29, 12)
export const DELEGATE = 'clawmesh.delegation.v1.DelegationService/Delegate'
export const WATCH = 'clawmesh.delegation.v1.DelegationService/Watch'
export const CANCEL = 'clawmesh.delegation.v1.DelegationService/Cancel'

export interface Told {
  readonly root: string
  /** Agents of acme, the origin first; the last one is the caller. */
  readonly chain: readonly string[]
  readonly to: string
  readonly id: string
  readonly parent: string | null
  /** Milliseconds after the beginning of the log. */
  readonly from: number
  readonly until: number
  readonly code?: string
  readonly method?: string
  readonly more?: object
}

export function spiffe(agent: string): string {
  return `spiffe://mesh.internal/tenant/acme/agent/${agent}`
}

export function lineOf(told: Told): string {
  const { root, chain, to, id, parent, from, until, code = null, method = DELEGATE } = told
  const refused = code !== null && !code.startsWith('MESH_PEER')
  const caller = chain.at(-1) ?? ''
  // of what was refused, the chain as it was presented
  const link = refused ? chain.slice(0, -1) : chain
  return `${JSON.stringify({
    time: new Date(BEGAN_MS + until).toISOString(),
    event: 'delegation',
    request_id: uuidV7(),
    tenant: 'acme',
    agent_id: caller,
    destination_ip: refused ? null : '10.0.0.7',
    action_allowed: !refused,
    reason: code,
    duration_ms: until - from,
    caller: spiffe(caller),
    callee: spiffe(to),
    grpc_method: method,
    grpc_status: code === null ? 0 : 9,
    delegation_id: id,
    root_id: root,
    hop: link.length,
    chain: link.map(spiffe),
    parent_id: parent,
    repeated: null,
    phase: null,
    open_id: null,
    ...told.more,
  })}\n`
}

/** Planner to researcher, to writer twice, each of these to b; and one of them back to the planner, refused. */
export function twiceTheSame(root = uuidV7(BEGAN_MS)) {
  const [first, one, two, bOne, bTwo, loop] = [0, 1, 2, 3, 4, 5].map((n) => uuidV7(BEGAN_MS + n))
  const ids = { first, one, two, bOne, bTwo, loop } as const
  const at = (id: string | undefined) => id ?? ''
  const write = (id: string | undefined, from: number) =>
    lineOf({
      ...{ root, chain: ['planner', 'researcher'], to: 'writer', id: at(id) },
      ...{ parent: at(first), from, until: from + 300 },
    })
  const check = (id: string | undefined, parent: string | undefined, from: number, to = 'b') =>
    lineOf({
      ...{ root, chain: ['planner', 'researcher', 'writer'], to, id: at(id) },
      ...{ parent: at(parent), from, until: from + 50 },
      ...(to === 'planner' ? { code: 'MESH_CHAIN_LOOP_DETECTED' } : {}),
    })
  return {
    root,
    ids,
    lines: [
      check(bOne, one, 110),
      write(one, 100),
      check(loop, two, 510, 'planner'),
      check(bTwo, two, 520),
      write(two, 500),
      lineOf({
        ...{ root, chain: ['planner'], to: 'researcher', id: at(first), parent: null },
        ...{ from: 0, until: 1000 },
      }),
    ],
  }
}
