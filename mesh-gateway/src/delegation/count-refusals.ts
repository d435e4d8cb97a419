/** What refused calls cost their caller: an agent by its certificate, anybody else by the address. */
import type { Identity, MeshError } from '@clawmesh/proto'
import type { RefusalBudgets } from '../limits/refusal-budget.ts'
import { sourceOf } from '../net/client-address.ts'
import type { Client } from './client/authenticate.ts'

export type { RefusalBudgets }

/** A port that is not the peer's is the caller's own fault: each that it names costs a question to DNS. */
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

/** What may go well at the next try is no fault of the caller's, and costs nothing. */
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
