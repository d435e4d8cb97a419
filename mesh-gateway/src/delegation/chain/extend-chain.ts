/**
 * Computes the next link of a chain of delegation. Pure: it uses the chain that the gateway signed, never a claim of
 * the caller. Authority only narrows: hops, scope, destinations and time are those of the parent or less.
 */
import {
  type Actor,
  actorsOf,
  type CertificateClaim,
  type DelegationClaims,
  MeshError,
} from '@clawmesh/proto'
import { type ChainLimits, DEFAULT_MAX_HOPS } from '../../policy/snapshot.ts'
import { MAX_DESTINATIONS } from '../../tokens/issue-token.ts'
import { narrowDestinations } from '../../tokens/narrow-destinations.ts'

export interface ChainStep {
  /** SPIFFE ID, from its certificate. */
  readonly caller: string
  /** The certificate that it delegates with. Default null: not given. */
  readonly crt?: CertificateClaim | null
  /** SPIFFE ID of the requested agent. */
  readonly callee: string
  /** Id of the delegation. Default null: not given. */
  readonly delegationId?: string | null
  /** The verified claims that the caller presented; null where a chain begins. */
  readonly parent: DelegationClaims | null
  /** Limits of the caller's tenant. */
  readonly limits: ChainLimits
  readonly narrow: {
    /** Host patterns; null does not narrow. */
    readonly destinations: readonly string[] | null
    /** Null does not narrow. */
    readonly scope: readonly string[] | null
    /** The deadline of the task, milliseconds since the epoch; null does not narrow. */
    readonly deadlineMs: number | null
  }
  /** Milliseconds since the epoch. */
  readonly nowMs: number
  /** The longest life of the new token, in milliseconds. */
  readonly ttlMs: number
  /** For a chain that begins with this call. */
  readonly newTxn: string
}

/** The claims of the next token, without issuer and id. */
export type ChainLink = Omit<DelegationClaims, 'iss' | 'jti'>

/** The same maximum as for an egress token. */
const MAX_NARROWED = MAX_DESTINATIONS

/** @throws MeshError MESH_CHAIN_LOOP_DETECTED, MESH_CHAIN_HOPS_EXCEEDED, MESH_TOKEN_REQUEST_INVALID */
export function extendChain(step: ChainStep): ChainLink {
  const { caller, callee, parent, limits } = step
  const act: Actor = Object.freeze({
    sub: caller,
    ...(step.crt == null ? {} : { crt: step.crt }),
    ...(parent === null ? {} : { act: parent.act }),
  })
  const actors = actorsOf(act)
  if (actors.includes(callee))
    throw new MeshError('MESH_CHAIN_LOOP_DETECTED', `${callee} is part of the chain already`, {
      facts: { chain: actors.join(' ') },
    })
  const hop = (parent?.hop ?? 0) + 1
  const maxHops = Math.min(
    parent?.max_hops ?? Number.POSITIVE_INFINITY,
    limits.maxHops ?? DEFAULT_MAX_HOPS,
  )
  if (hop > maxHops)
    throw new MeshError('MESH_CHAIN_HOPS_EXCEEDED', `a chain may have ${maxHops} hops here`, {
      facts: { chain: actors.join(' ') },
    })
  const nowSeconds = Math.floor(step.nowMs / 1000)
  const destinations = narrowedDestinations(step)
  const scope = narrowedScope(step)
  return Object.freeze({
    sub: parent?.sub ?? caller,
    aud: callee,
    act,
    txn: parent?.txn ?? step.newTxn,
    ...(step.delegationId == null ? {} : { delegation_id: step.delegationId }),
    ...(parent?.delegation_id === undefined ? {} : { parent_id: parent.delegation_id }),
    hop,
    max_hops: maxHops,
    ...(scope === null ? {} : { scope }),
    ...(destinations === null ? {} : { allowed_destinations: destinations }),
    iat: nowSeconds,
    exp: endOf(step, nowSeconds),
  })
}

/**
 * The earliest of three times: the end of the parent's authority, the deadline of the task, and the longest life that
 * the gateway grants.
 */
function endOf({ parent, narrow, ttlMs }: ChainStep, nowSeconds: number): number {
  return Math.min(
    parent?.exp ?? Number.POSITIVE_INFINITY,
    // the second in which the task ends still belongs to it
    narrow.deadlineMs === null ? Number.POSITIVE_INFINITY : Math.ceil(narrow.deadlineMs / 1000),
    nowSeconds + Math.floor(ttlMs / 1000),
  )
}

function narrowedDestinations({ parent, narrow }: ChainStep): readonly string[] | null {
  const held = parent?.allowed_destinations ?? null
  if (narrow.destinations === null) return held
  checkCount(narrow.destinations, 'destinations')
  // without an earlier narrowing, the request itself is the narrowing, in canonical form
  const { within, invalid } = narrowDestinations(narrow.destinations, held ?? narrow.destinations)
  if (invalid.length > 0)
    throw new MeshError('MESH_TOKEN_REQUEST_INVALID', `not a destination: ${invalid.join('; ')}`)
  return within
}

function narrowedScope({ parent, narrow }: ChainStep): string | null {
  const held = parent?.scope ?? null
  if (narrow.scope === null) return held
  checkCount(narrow.scope, 'names of scope')
  const names = held === null ? null : new Set(held.split(' '))
  const kept = narrow.scope.filter((name) => names === null || names.has(name))
  if (!kept.every((name) => SCOPE.test(name)))
    throw new MeshError('MESH_TOKEN_REQUEST_INVALID', 'a scope has characters that none may have')
  return [...new Set(kept)].join(' ')
}

/** Bounds the list: each entry is compared with each, and other calls wait meanwhile. */
function checkCount(asked: readonly string[], what: string): void {
  if (asked.length > MAX_NARROWED)
    throw new MeshError(
      'MESH_TOKEN_REQUEST_INVALID',
      `a chain is narrowed to ${MAX_NARROWED} ${what} at most`,
    )
}

/** RFC 6749, section 3.3: scope-token. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/
