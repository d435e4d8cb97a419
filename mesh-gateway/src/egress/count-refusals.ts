/**
 * What refused requests cost: the address while the client is not known, then the agent. Verifying a token is the dearest thing
 * that a stranger can ask for, so an address that has spent its budget is refused before it. A token that was verified lately is
 * taken all the same, and so is any on a connection whose last token was good: clients that share an address with an attacker go on.
 */
import type { GatedClient } from '../limits/connection-gate.ts'
import type { RefusalBudgets } from '../limits/refusal-budget.ts'
import { findCredential, type Principal } from './authenticate.ts'
import type { EgressContext } from './context.ts'
import type { Field } from './http1/head.ts'
import { type Gate, Refused } from './refused.ts'
import type { EntryForm } from './request.ts'

/** What nothing had to be verified for. Many clients ask without a token first, to learn that they need one. */
const CHEAP = 0.1
/** Gates at which a request is refused for what it asks. */
const JUDGING: ReadonlySet<Gate> = Object.freeze(new Set<Gate>(['policy', 'address', 'tls']))

/** Null when the token may be verified. */
export function overBudget(
  fields: readonly Field[],
  form: EntryForm,
  client: GatedClient,
  context: EgressContext,
): Refused | null {
  const refused = checkAddress(client, context.refusals)
  if (refused === null) return null
  const credential = findCredential(fields, form, context.issuer)
  const known = !(credential instanceof Refused) && context.remembersToken(credential.token)
  return known ? null : refused
}

/** Tells the connection what came of its credential, and counts a bad one. */
export function notePrincipal(
  principal: Principal | Refused,
  client: GatedClient,
  refusals: RefusalBudgets,
): void {
  const good = !(principal instanceof Refused)
  client.setAuthenticated(good)
  if (!good) countUnknown(principal, client, refusals)
}

/** Null when the client is authenticated, or its address may be refused some more. */
export function checkAddress(
  client: GatedClient,
  { sources }: Pick<RefusalBudgets, 'sources'>,
): Refused | null {
  const waitMs = client.authenticated ? null : sources.exhausted(client.source)
  return waitMs === null ? null : new Refused('limits', sources.refusal(waitMs, 'this address'))
}

/** A refusal of a client that is not known. */
export function countUnknown(
  { error }: Refused,
  { source }: GatedClient,
  { sources }: Pick<RefusalBudgets, 'sources'>,
): void {
  if (error.row.retryable) return
  sources.spend(source, error.code === 'MESH_TOKEN_MISSING' ? CHEAP : 1)
}

/** Null when requests of the agent, within the same chain or outside one, may be refused some more. */
export function checkAgent(
  principal: Principal,
  { agents }: Pick<RefusalBudgets, 'agents'>,
): Refused | null {
  const waitMs = agents.exhausted(keyOf(principal))
  return waitMs === null ? null : new Refused('limits', agents.refusal(waitMs, 'this agent'))
}

export function countRefusal(
  { gate, error }: Refused,
  principal: Principal,
  { agents }: Pick<RefusalBudgets, 'agents'>,
): void {
  if (JUDGING.has(gate) && !error.row.retryable) agents.spend(keyOf(principal))
}

/** By the origin of the chain too: whoever gives an agent tasks that are refused must not hold up those that others give it. */
function keyOf({ agent, actors }: Principal): string {
  const name = `${agent.tenant}/${agent.agent}`
  const origin = actors?.[0]
  return origin === undefined ? name : `${name} for ${origin.tenant}/${origin.agent}`
}
