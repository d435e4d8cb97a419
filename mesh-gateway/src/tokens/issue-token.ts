/**
 * Issues egress tokens. Every token names its agent, expires soon, and contains only destinations that policy allows
 * the agent at that moment. Never makes a token without an expiry, a signature or a destination.
 */
import type { PeerCertificate } from '@clawmesh/agent-sdk/mesh'
import {
  type Actor,
  EGRESS_AUDIENCE,
  EGRESS_TOKEN_TYPE,
  type EgressClaims,
  isDnsLabel,
  MeshError,
  type Peer,
  Secret,
  type SpiffeTemplate,
  uuidV7,
} from '@clawmesh/proto'
import type { MaybePromise } from '../limits/limits.ts'
import { ANY_DESTINATION, type DestinationSet, textsOf } from '../net/destination-set.ts'
import { certificateClaim } from './certificate-claim.ts'
import type { KeyRing } from './key-ring.ts'
import { narrowDestinations } from './narrow-destinations.ts'
import { MAX_TOKEN_LENGTH } from './token-memory.ts'

export interface TokenIssuerOptions {
  readonly keyRing: Pick<KeyRing, 'sign'>
  /** `iss` of the tokens. */
  readonly issuer: string
  readonly spiffe: SpiffeTemplate
  /** The destinations that policy allows an agent now, as host patterns. */
  readonly allowedDestinations: (agent: Peer) => MaybePromise<readonly string[] | DestinationSet>
  /**
   * False for an agent in audit mode: its token may contain destinations beyond policy, and without a list it contains
   * ANY_DESTINATION, so that policy can be seen at work. Policy still decides when it is used. Default true.
   */
  readonly enforced?: (agent: Peer) => boolean
  /** False for an agent that may act within chains only: it gets no token without one. Default true. */
  readonly mayOriginate?: (agent: Peer) => boolean
  /** True for a revoked SPIFFE ID, which gets no token. Default: none is revoked. */
  readonly revoked?: (id: string) => boolean
  /** Default and maximum life of a token, in milliseconds. Read for each token. */
  readonly ttl: () => { readonly ttlMs: number; readonly maxTtlMs: number }
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number
}

/** The chain of delegation in which an agent acts: its token belongs to that chain, and is no wider. */
export interface TokenChain {
  readonly act: Actor
  readonly txn: string
  /** Seconds since the epoch; the token expires no later. */
  readonly exp: number
  /** Host patterns; null: the chain is not narrowed. */
  readonly allowedDestinations: readonly string[] | null
}

export interface TokenRequest {
  readonly agent: Peer
  /** Default null: the agent acts for itself. */
  readonly chain?: TokenChain | null
  /** Host patterns; null requests all that policy allows. */
  readonly destinations: readonly string[] | null
  /**
   * How to treat destinations that policy does not allow. Default `refuse`; `drop` removes them, and refuses when none
   * is left.
   */
  readonly outside?: 'refuse' | 'drop'
  /** Milliseconds. Default as configured. */
  readonly ttlMs?: number
  /** SHA-256 of a certificate, base64url: the token is valid only with it. Default null: not bound. */
  readonly boundTo?: string | null
  /** Default null: no certificate vouches for the agent. */
  readonly certificate?: ExchangedCertificate | null
}

/** The certificate for which a token is exchanged: the token ends with its expiry and its revocation. */
export type ExchangedCertificate = Pick<PeerCertificate, 'links' | 'notAfter'>

export interface IssuedToken {
  readonly token: Secret<string>
  readonly claims: EgressClaims
}

export interface TokenIssuer {
  /**
   * @throws MeshError MESH_TOKEN_REQUEST_INVALID, MESH_IDENTITY_REVOKED, MESH_POLICY_MAY_NOT_ORIGINATE or
   *   MESH_POLICY_NOT_ALLOWED
   */
  issue(request: TokenRequest): Promise<IssuedToken>
}

export const MAX_DESTINATIONS = 200

export function createTokenIssuer(options: TokenIssuerOptions): TokenIssuer {
  const { keyRing, issuer, spiffe, now = Date.now } = options
  return {
    async issue(request) {
      const { agent } = request
      if (!isDnsLabel(agent.tenant) || !isDnsLabel(agent.agent))
        throw refuse('tenant and agent must be lower-case DNS labels, e.g. acme and bot-01')
      const { id } = spiffe.agent(agent.tenant, agent.agent)
      if (options.revoked?.(id) === true) throw revoked(agent)
      const ttlMs = checkTtl(request.ttlMs, options.ttl())
      const { chain = null, certificate = null } = request
      if (chain === null && options.mayOriginate?.(agent) === false) throw mayNotOriginate(agent)
      const chosen = chooseDestinations(
        request,
        await options.allowedDestinations(agent),
        options.enforced?.(agent) ?? true,
      )
      const destinations = withinChain(chosen, chain)
      checkCount(destinations)
      const seconds = Math.floor(now() / 1000)
      const claims: EgressClaims = Object.freeze({
        iss: issuer,
        aud: EGRESS_AUDIENCE,
        sub: id,
        agent_id: agent.agent,
        tenant: agent.tenant,
        allowed_destinations: Object.freeze(destinations),
        iat: seconds,
        nbf: seconds,
        exp: Math.min(
          chain?.exp ?? Infinity,
          endOf(certificate),
          seconds + Math.floor(ttlMs / 1000),
        ),
        jti: uuidV7(now()),
        ...(certificate === null ? {} : { crt: certificateClaim(certificate.links) }),
        ...(request.boundTo == null ? {} : { cnf: { 'x5t#S256': request.boundTo } }),
        ...(chain === null ? {} : { act: chain.act, txn: chain.txn }),
      })
      const token = await keyRing.sign(EGRESS_TOKEN_TYPE, {
        ...claims,
        allowed_destinations: destinations,
      })
      if (token.length > MAX_TOKEN_LENGTH)
        throw refuse('the token would be too long for a header', 'name fewer destinations')
      return { token: new Secret(token), claims }
    },
  }
}

/** Seconds since the epoch. */
function endOf(certificate: ExchangedCertificate | null): number {
  return certificate === null ? Infinity : Math.floor(certificate.notAfter.getTime() / 1000)
}

function checkTtl(wanted: number | undefined, limits: { ttlMs: number; maxTtlMs: number }): number {
  const ttlMs = wanted ?? limits.ttlMs
  if (!Number.isFinite(ttlMs) || ttlMs < 1000)
    throw refuse('a token must live for one second at least')
  if (ttlMs > limits.maxTtlMs)
    throw refuse(
      `a token may live for ${limits.maxTtlMs / 1000} seconds at most`,
      'ask for less, or raise tokens.maxTtlMs',
    )
  return ttlMs
}

/** Of the agent's own destinations, those that the chain allows; in audit mode as well. */
function withinChain(chosen: string[], chain: TokenChain | null): string[] {
  const limits = chain?.allowedDestinations ?? null
  if (limits === null) return chosen
  const { within } = narrowDestinations(chosen[0] === ANY_DESTINATION ? limits : chosen, limits)
  if (within.length > 0) return [...within]
  throw new MeshError(
    'MESH_TOKEN_DESTINATION',
    'the chain of delegation allows none of these destinations',
    { hint: limits.length === 0 ? 'it allows none at all' : `it allows ${shorten(limits)}` },
  )
}

function chooseDestinations(
  request: TokenRequest,
  allows: readonly string[] | DestinationSet,
  enforced: boolean,
): string[] {
  const { agent, destinations, outside = 'refuse' } = request
  if (destinations === null && !enforced) return [ANY_DESTINATION]
  const allowed = textsOf(allows)
  const name = `${agent.tenant}/${agent.agent}`
  if (destinations !== null && destinations.length === 0)
    throw refuse(
      'an empty list of destinations allows nothing',
      'name hosts, or leave the list out to get all that policy allows',
    )
  checkCount(destinations ?? allowed)
  if (allowed.length === 0 && enforced)
    throw new MeshError('MESH_POLICY_NOT_ALLOWED', `policy allows ${name} no destination`, {
      hint: `add hosts to egress.allow, for all or for agent ${agent.agent}, in the policy of tenant ${agent.tenant}`,
    })
  const wanted = destinations ?? allowed
  const narrowed = narrowDestinations(wanted, enforced ? allows : wanted)
  if (narrowed.invalid.length > 0)
    throw refuse(
      `not a destination: ${narrowed.invalid.join('; ')}`,
      'write hosts as policy does: api.example.com, *.example.com, api.example.com:8443',
    )
  const refused = outside === 'refuse' ? narrowed.outside : []
  if (refused.length > 0 || narrowed.within.length === 0)
    throw new MeshError(
      'MESH_POLICY_NOT_ALLOWED',
      `policy does not allow ${name}: ${narrowed.outside.slice(0, 10).join(', ')}`,
      { hint: `it allows ${shorten(allowed)}` },
    )
  return [...narrowed.within]
}

/** Also checks the expansion of wide patterns: a token must fit into a header. */
export function checkCount(destinations: readonly string[]): void {
  if (destinations.length > MAX_DESTINATIONS)
    throw refuse(
      `a token carries ${MAX_DESTINATIONS} destinations at most`,
      'name those that are needed',
    )
}

function shorten(list: readonly string[]): string {
  const shown = list.slice(0, 10).join(', ')
  return list.length > 10 ? `${shown} and ${list.length - 10} more` : shown
}

/** The port would refuse the token anyway; the client should learn it here. */
function revoked({ tenant, agent }: Peer): MeshError {
  return new MeshError('MESH_IDENTITY_REVOKED', `the agent ${tenant}/${agent} has been revoked`, {
    hint: `\`mesh-gateway revoke --list\` shows since when and why; \`mesh-gateway revoke agent ${tenant}/${agent} --undo\` lets it in again`,
  })
}

/** The policy decision would refuse each use of the token. */
function mayNotOriginate({ tenant, agent }: Peer): MeshError {
  return new MeshError(
    'MESH_POLICY_MAY_NOT_ORIGINATE',
    `${tenant}/${agent} may act only within a delegation`,
    {
      hint: 'MeshService.ExchangeToken, with the delegation token that came with a task, gives a token for that task',
    },
  )
}

function refuse(message: string, hint?: string): MeshError {
  return new MeshError('MESH_TOKEN_REQUEST_INVALID', message, hint === undefined ? {} : { hint })
}
