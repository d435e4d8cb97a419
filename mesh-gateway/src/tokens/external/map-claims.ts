/**
 * Maps the verified claims of an external token to claims of the gateway: for an agent of a tenant for which the issuer
 * may speak, and with destinations that the token names or that policy allows. Refuses claims that it cannot judge.
 */
import { createHash } from 'node:crypto'
import {
  EGRESS_AUDIENCE,
  type EgressClaims,
  isDnsLabel,
  MeshError,
  type Peer,
  type SpiffeTemplate,
} from '@clawmesh/proto'
import { claimAt, parseClaimPath } from '../../config/claim-path.ts'
import type { ExternalIssuerConfig } from '../../config/external-issuers.ts'
import type { DestinationSet } from '../../net/destination-set.ts'
import { formatHostPattern, parseHostPattern } from '../../net/host-pattern.ts'
import { isRevocationValue } from '../../revocation/entry.ts'
import { isSeconds, malformed } from '../claim-shapes.ts'
import { earlyToken } from '../describe-times.ts'
import { parseConfirmation } from '../parse-claims.ts'

export interface MapClaimsOptions {
  readonly issuer: ExternalIssuerConfig
  readonly spiffe: SpiffeTemplate
  /** The destinations that policy allows an agent now, as host patterns. */
  readonly allowedDestinations: (agent: Peer) => Promise<DestinationSet>
  /** The longest life of a token, in milliseconds. Read for each token. */
  readonly maxTtlMs: () => number
  /** Tolerance for clock differences, in milliseconds. */
  readonly skewMs: number
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** @throws MeshError MESH_TOKEN_MALFORMED, MESH_TOKEN_TENANT, MESH_TOKEN_LIFETIME, MESH_TOKEN_NOT_YET_VALID */
export type MapClaims = (
  payload: Readonly<Record<string, unknown>>,
  token: string,
) => Promise<MappedClaims>

/** The set is present where policy gives the destinations. */
export interface MappedClaims {
  readonly claims: EgressClaims
  readonly destinations: DestinationSet | null
}

/**
 * Claims that are refused: a chain that the gateway did not sign cannot be verified, and ignoring it would widen the
 * token.
 */
const CHAIN = ['act', 'txn', 'may_act']
const MAX_DESTINATIONS = 200

export function createClaimMapping(options: MapClaimsOptions): MapClaims {
  const { issuer, spiffe, skewMs, now } = options
  const { tenants, fixedTenant, claims } = issuer
  const at = (path: string | null) => (path === null ? null : parseClaimPath(path))
  const agentAt = parseClaimPath(claims.agent)
  const tenantAt = at(claims.tenant)
  const destinationsAt = at(claims.destinations)
  const known = new Set(tenants)
  const idPrefix = createHash('sha256').update(issuer.issuer).digest('hex').slice(0, 8)

  return async (payload, token) => {
    for (const claim of CHAIN)
      if (Object.hasOwn(payload, claim))
        throw new MeshError(
          'MESH_TOKEN_MALFORMED',
          `a token of another issuer cannot carry a chain of delegation (${claim})`,
        )
    const times = judgeTimes(payload, now(), skewMs, options.maxTtlMs())
    const tenant = tenantAt === null ? fixedTenant : claimAt(payload, tenantAt)
    if (typeof tenant !== 'string' || !isDnsLabel(tenant))
      throw malformed(claims.tenant ?? 'tenant')
    if (!known.has(tenant)) throw new MeshError('MESH_TOKEN_TENANT')
    const agent = claimAt(payload, agentAt)
    if (typeof agent !== 'string' || !isDnsLabel(agent)) throw malformed(claims.agent)
    const cnf = payload.cnf === undefined ? null : parseConfirmation(payload.cnf)
    const named =
      destinationsAt === null
        ? null
        : parseDestinations(claimAt(payload, destinationsAt), claims.destinations ?? '')
    // last, because it may take a while: a refused token does not wait for it
    const destinations =
      named === null ? await options.allowedDestinations({ tenant, agent }) : null
    const mapped: EgressClaims = Object.freeze({
      iss: issuer.issuer,
      aud: EGRESS_AUDIENCE,
      sub: spiffe.agent(tenant, agent).id,
      agent_id: agent,
      tenant,
      // many tokens share the list of policy, so it is not copied
      allowed_destinations: destinations?.texts ?? Object.freeze(named ?? []),
      ...times,
      jti: idOf(payload.jti, token, idPrefix),
      ...(cnf === null ? {} : { cnf }),
    })
    return { claims: mapped, destinations }
  }
}

/** Its issue time counts only where it makes its life longer. */
function judgeTimes(
  { iat, nbf, exp }: Readonly<Record<string, unknown>>,
  nowMs: number,
  skewMs: number,
  maxTtlMs: number,
): Pick<EgressClaims, 'iat' | 'nbf' | 'exp'> {
  if (!isSeconds(exp)) throw malformed('exp')
  if (iat !== undefined && !isSeconds(iat)) throw malformed('iat')
  if (nbf !== undefined && !isSeconds(nbf)) throw malformed('nbf')
  if (iat !== undefined && iat * 1000 > nowMs + skewMs) throw earlyToken(iat, nowMs, undefined)
  const madeMs = iat === undefined ? nowMs : iat * 1000
  if (exp * 1000 - madeMs > maxTtlMs)
    throw new MeshError(
      'MESH_TOKEN_LIFETIME',
      `the token lives longer than the ${maxTtlMs / 1000} seconds that are accepted`,
    )
  const made = Math.floor(madeMs / 1000)
  return { iat: made, nbf: nbf ?? made, exp }
}

/** A list, or names separated by spaces, like OAuth scopes. */
function parseDestinations(value: unknown, claim: string): string[] {
  const listed = typeof value === 'string' ? value.split(' ').filter((one) => one !== '') : value
  if (!Array.isArray(listed) || listed.length > MAX_DESTINATIONS) throw malformed(claim)
  return listed.map((text: unknown) => {
    const pattern = typeof text === 'string' ? parseHostPattern(text) : 'is no text'
    if (typeof pattern === 'string') throw malformed(claim)
    return formatHostPattern(pattern)
  })
}

/**
 * An id that a revocation list can hold, and that no token of another issuer has: the right to revoke one must not
 * extend to the other. Without a `jti`, a hash of the signed part: a signature can be encoded in more than one way.
 */
function idOf(jti: unknown, token: string, prefix: string): string {
  const id = typeof jti === 'string' && jti !== '' ? `${prefix}:${jti}` : null
  if (id !== null && isRevocationValue('token', id)) return id
  const signed = token.slice(0, token.lastIndexOf('.'))
  return `${prefix}:sha256:${createHash('sha256').update(signed).digest('base64url')}`
}
