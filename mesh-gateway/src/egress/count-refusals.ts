/**
 * Counts refused requests: against the address while the client is unknown, then against the agent. Verifying a token
 * is the most expensive work that an unauthenticated client can cause, so an address that has spent its budget is
 * refused before it. A token with a cached verification is still accepted, and so is any token on a connection whose
 * last token was good: clients that share an address with an attacker are not affected.
 */
import type { GatedClient } from '../limits/connection-gate.ts'
import type { RefusalBudgets } from '../limits/refusal-budget.ts'
import { findCredential, type Principal } from './authenticate.ts'
import type { Field } from './http1/head.ts'
import { type Gate, Refused } from './refused.ts'
import type { EntryForm } from './request.ts'

/**
 * The cost of a refusal without a verification. Many clients first ask without a token, to learn that they need one.
 */
const CHEAP = 0.1
/** Gates that refuse a request for its destination. */
const JUDGING: ReadonlySet<Gate> = Object.freeze(new Set<Gate>(['policy', 'address', 'tls']))

export interface CountingContext {
  /** `iss` of the gateway's own tokens. */
  readonly issuer: string
  readonly refusals: RefusalBudgets
  /** True when the token's verification is cached. */
  readonly remembersToken: (token: string) => boolean
}

/** Null when the token may be verified. */
export function overBudget(
  fields: readonly Field[],
  form: EntryForm,
  client: GatedClient,
  { refusals, issuer, remembersToken }: CountingContext,
): Refused | null {
  const refused = checkAddress(client, refusals)
  if (refused === null) return null
  const credential = findCredential(fields, form, issuer)
  const known = !(credential instanceof Refused) && remembersToken(credential.token)
  return known ? null : refused
}

/** Tells the connection the result of the authentication, and counts a bad credential. */
export function notePrincipal(
  principal: Principal | Refused,
  client: GatedClient,
  refusals: RefusalBudgets,
): void {
  const good = !(principal instanceof Refused)
  client.setAuthenticated(good)
  if (!good) countUnknown(principal, client, refusals)
}

/** Null when the client is authenticated, or its address has budget left. */
export function checkAddress(
  client: GatedClient,
  { sources }: Pick<RefusalBudgets, 'sources'>,
): Refused | null {
  const waitMs = client.authenticated ? null : sources.exhausted(client.source)
  return waitMs === null ? null : new Refused('limits', sources.refusal(waitMs, 'this address'))
}

/** Counts a refusal of an unauthenticated client. */
export function countUnknown(
  { error }: Refused,
  { source }: GatedClient,
  { sources }: Pick<RefusalBudgets, 'sources'>,
): void {
  if (error.row.retryable) return
  sources.spend(source, error.code === 'MESH_TOKEN_MISSING' ? CHEAP : 1)
}

/** Null while the agent, within the same chain or outside one, has budget left. */
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

/**
 * The key includes the origin of the chain: one origin whose tasks are refused must not block the agent's tasks from
 * others.
 */
function keyOf({ agent, actors }: Principal): string {
  const name = `${agent.tenant}/${agent.agent}`
  const origin = actors?.[0]
  return origin === undefined ? name : `${name} for ${origin.tenant}/${origin.agent}`
}
