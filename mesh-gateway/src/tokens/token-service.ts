/**
 * Issues egress tokens: to agents in exchange for their certificate, to machines in exchange for a service-account key.
 */
import { MeshError, type Peer, type Secret, type SpiffeTemplate } from '@clawmesh/proto'
import type { Limits } from '../limits/limits.ts'
import { rememberDestinations } from '../policy/decide/allowed.ts'
import { mayOriginate, type PolicySnapshot } from '../policy/snapshot.ts'
import {
  checkCount,
  createTokenIssuer,
  type ExchangedCertificate,
  type IssuedToken,
  type TokenChain,
  type TokenIssuer,
  type TokenIssuerOptions,
} from './issue-token.ts'
import { narrowDestinations } from './narrow-destinations.ts'
import type { ServiceAccounts } from './service-accounts.ts'

export interface TokenServiceOptions
  extends Pick<TokenIssuerOptions, 'keyRing' | 'issuer' | 'ttl' | 'now' | 'revoked'> {
  readonly spiffe: SpiffeTemplate
  readonly policy: { current(): PolicySnapshot }
  /** Default: no rate limit for service accounts. */
  readonly limits?: Pick<Limits, 'take'>
  /** Null: there are none. */
  readonly accounts: Pick<ServiceAccounts, 'authenticate'> | null
}

export interface AccountTokenRequest {
  /** The agent that the client expects; null: not given. */
  readonly agentId: string | null
  /** Host patterns; null: all that the account may reach. */
  readonly destinations: readonly string[] | null
  /** Null: the default. */
  readonly ttlMs: number | null
}

export interface TokenService extends TokenIssuer {
  /** For an agent authenticated by its certificate. Its request is narrowed to policy. */
  issueEgressToken(
    agent: Peer,
    destinations: readonly string[] | null,
    chain?: TokenChain | null,
    boundTo?: string | null,
    certificate?: ExchangedCertificate | null,
    ttlMs?: number,
  ): Promise<IssuedToken>
  /**
   * @throws MeshError MESH_ACCOUNT_KEY_INVALID, MESH_TOKEN_REQUEST_INVALID, MESH_POLICY_NOT_ALLOWED,
   *   MESH_POLICY_NO_TENANT
   */
  issueForAccountKey(key: Secret<string>, request: AccountTokenRequest): Promise<IssuedToken>
}

/** Per agent, for the keys of its service accounts. */
const PER_MINUTE = 600

export function createTokenService(options: TokenServiceOptions): TokenService {
  const { accounts, policy } = options
  const allowed = rememberDestinations(policy)
  const issuer = createTokenIssuer({
    ...options,
    allowedDestinations: (agent) => {
      const snapshot = policy.current()
      if (!snapshot.tenants.has(agent.tenant))
        throw new MeshError('MESH_POLICY_NO_TENANT', `tenant ${agent.tenant} has no policy`)
      return allowed(agent)
    },
    mayOriginate: (agent) => mayOriginate(policy.current(), agent),
    enforced: (agent) => {
      const egress = policy.current().tenants.get(agent.tenant)?.egress
      return (egress?.agents.get(agent.agent) ?? egress?.others)?.mode !== 'audit'
    },
  })
  /** @throws MeshError MESH_RATE_LIMITED, MESH_LIMIT_UNAVAILABLE */
  async function takeRate({ tenant, agent }: Peer): Promise<void> {
    const key = `issue:${tenant}/${agent}`
    const retryAfterMs = (await options.limits?.take(key, PER_MINUTE, PER_MINUTE / 10)) ?? null
    if (retryAfterMs === null) return
    throw new MeshError(
      'MESH_RATE_LIMITED',
      `${PER_MINUTE} tokens per minute are issued for service accounts of one agent`,
      { retryAfterMs },
    )
  }

  return {
    issue: (request) => issuer.issue(request),
    issueEgressToken: (
      agent,
      destinations,
      chain = null,
      boundTo = null,
      certificate = null,
      ttlMs,
    ) =>
      issuer.issue({
        ...{ agent, destinations, chain, boundTo, certificate, outside: 'drop' },
        ...(ttlMs === undefined ? {} : { ttlMs }),
      }),
    async issueForAccountKey(key, { agentId, destinations, ttlMs }) {
      const account = accounts?.authenticate(key.reveal())
      if (account === undefined) throw new MeshError('MESH_ACCOUNT_KEY_INVALID')
      await takeRate(account)
      if (options.revoked?.(options.spiffe.agent(account.tenant, account.agent).id) === true)
        throw new MeshError(
          'MESH_ACCOUNT_KEY_INVALID',
          'the agent of the account has been revoked',
          { hint: 'another account for it would be refused too; ask who runs the gateway' },
        )
      if (agentId !== null && agentId !== account.agent)
        throw new MeshError(
          'MESH_TOKEN_REQUEST_INVALID',
          `the service account acts as ${account.agent}, not as the agent_id asked for`,
        )
      if (destinations !== null) checkCount(destinations)
      if (destinations !== null && account.destinations !== null) {
        const { invalid, outside } = narrowDestinations(destinations, account.destinations)
        if (invalid.length === 0 && outside.length > 0)
          throw new MeshError(
            'MESH_POLICY_NOT_ALLOWED',
            `the service account does not allow ${outside.slice(0, 10).join(', ')}`,
            { hint: `it allows ${account.destinations.slice(0, 10).join(', ')}` },
          )
      }
      return await issuer.issue({
        agent: { tenant: account.tenant, agent: account.agent },
        destinations: destinations ?? account.destinations,
        // policy may allow less than the account's own list by now
        outside: destinations === null ? 'drop' : 'refuse',
        ...(ttlMs === null ? {} : { ttlMs }),
      })
    },
  }
}
