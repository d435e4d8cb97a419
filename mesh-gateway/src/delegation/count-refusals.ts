/** Counts refused calls against their caller: against an agent if it has a certificate, else against the address. */
import type { Identity, MeshError } from '@clawmesh/proto'
import type { RefusalBudgets } from '../limits/refusal-budget.ts'
import { sourceOf } from '../net/client-address.ts'
import type { Client } from './client/authenticate.ts'

export type { RefusalBudgets }

/** Codes that are not the caller's fault. A refused port is: each port that the caller names costs a DNS lookup. */
const NOT_THE_CALLERS = /^MESH_(?:CALL|PEER|GATEWAY)_(?!PORT_REFUSED$)/

/** @throws MeshError MESH_RATE_LIMITED when too many calls of the caller were refused */
export function checkRefusals({ agents, sources }: RefusalBudgets, client: Client): void {
  const { peer, address } = client
  const waitMs =
    peer === null ? sources.exhausted(sourceOf(address.ip)) : agents.exhausted(callerKey(peer))
  if (waitMs === null) return
  throw peer === null
    ? sources.refusal(waitMs, 'this address')
    : agents.refusal(waitMs, 'this caller')
}

/** Retryable errors are not the caller's fault, and are not counted. */
export function countRefusal(
  { agents, sources }: RefusalBudgets,
  { peer, address }: Client,
  error: MeshError,
): void {
  if (error.row.retryable || NOT_THE_CALLERS.test(error.code)) return
  if (peer === null) sources.spend(sourceOf(address.ip))
  else agents.spend(callerKey(peer))
}

function callerKey({ identity }: { readonly identity: Identity }): string {
  return identity.kind === 'agent' ? `${identity.tenant}/${identity.agent}` : identity.id
}
