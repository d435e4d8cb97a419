/**
 * Revokes a token before it expires, for its holder and for the service account of its agent. Writes to the gateway's
 * revocation list, which other gateways read too. The answer never shows whether a token was valid (RFC 7009).
 */
import { type EgressClaims, MeshError, type Secret } from '@clawmesh/proto'
import type { Limits } from '../limits/limits.ts'
import { hasEnded, isRevocationValue, type RevocationEntry } from '../revocation/entry.ts'
import type { Edit } from '../revocation/list-writer.ts'
import { SHARES, type Shares } from '../revocation/revoked-index.ts'
import type { ServiceAccounts } from './service-accounts.ts'

export interface TokenRevokerOptions {
  /** @throws MeshError MESH_TOKEN_* */
  readonly verify: (token: string) => EgressClaims | Promise<EgressClaims>
  /** Null: there are none. */
  readonly accounts: Pick<ServiceAccounts, 'authenticate'> | null
  readonly limits: Pick<Limits, 'take'>
  /** The gateway's own revocation list. */
  readonly revocations: {
    token(jti: string): object | null
    change(edit: Edit): Promise<boolean>
  }
  /** Maximum entries that agents may have. Default SHARES. */
  readonly shares?: Shares
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number
}

export interface TokenRevocation {
  /** The claims of the token in question; null: its agent is unknown. */
  readonly claims: EgressClaims | null
  /**
   * Null: the token is no longer valid. MESH_ACCOUNT_KEY_INVALID, MESH_TOKEN_AGENT_MISMATCH,
   * MESH_TOKEN_ISSUER_UNAVAILABLE, MESH_RATE_LIMITED, MESH_REVOCATION_*, MESH_DISK_WRITE: it is as valid as before.
   */
  readonly refused: MeshError | null
}

/** Key null: the token itself authorizes its revocation. An invalid token counts as revoked. */
export type RevokeToken = (
  token: Secret<string>,
  key: Secret<string> | null,
) => Promise<TokenRevocation>

/** An entry is kept this long after the token's expiry, in milliseconds: more than clocks may differ. */
const AFTER_EXPIRY_MS = 60_000
const PER_MINUTE = 60
/** By then earlier entries may have ended. */
const RETRY_FULL_MS = 60_000

export function createTokenRevoker(options: TokenRevokerOptions): RevokeToken {
  const { accounts, limits, revocations, shares = SHARES, now = Date.now } = options

  async function revoke(claims: EgressClaims, account: string | null): Promise<void> {
    const { agent_id, tenant, jti, exp } = claims
    if (revocations.token(jti) !== null) return
    if (!isRevocationValue('token', jti))
      throw new MeshError('MESH_REVOCATION_INVALID', 'the token has no id that a list can hold', {
        hint: 'revoke its agent, or have its issuer take it back',
      })
    const by = `${tenant}/${agent_id}`
    const retryAfterMs = await limits.take(`revoke:${by}`, PER_MINUTE, PER_MINUTE)
    if (retryAfterMs !== null)
      throw new MeshError(
        'MESH_RATE_LIMITED',
        `an agent may revoke ${PER_MINUTE} tokens per minute; this one is still good`,
        { retryAfterMs },
      )
    const add: RevocationEntry = {
      kind: 'token',
      value: jti,
      reason: account === null ? 'by the holder of the token' : `by service account ${account}`,
      since: new Date(now()).toISOString(),
      until: new Date(exp * 1000 + AFTER_EXPIRY_MS).toISOString(),
      by,
    }
    await revocations.change((index) => {
      // revoked by another process meanwhile, or by an operator for longer
      const before = index.get('token', jti)
      if (before !== undefined && !hasEnded(before, now())) return null
      const full = index.full(by, shares)
      if (full !== null) throw noRoom(by, full)
      return { add }
    })
  }

  return async (token, key) => {
    let claims: EgressClaims | null = null
    try {
      const account = key === null ? null : authenticate(accounts, key)
      claims = await claimsOf(token, options.verify)
      if (claims === null) return { claims, refused: null }
      if (
        account !== null &&
        (account.tenant !== claims.tenant || account.agent !== claims.agent_id)
      )
        throw new MeshError('MESH_TOKEN_AGENT_MISMATCH', "the token is another agent's", {
          hint: 'a service account may revoke the tokens of its own agent',
        })
      await revoke(claims, account?.id ?? null)
      return { claims, refused: null }
    } catch (error) {
      if (error instanceof MeshError) return { claims, refused: error }
      throw error
    }
  }
}

function noRoom(agent: string, full: 'agent' | 'tenant' | 'all'): MeshError {
  const whose = {
    agent: 'the agent has as many tokens revoked as it may',
    tenant: 'the agents of the tenant have as many tokens revoked as they may',
    all: 'agents have as many tokens revoked as they may',
  }[full]
  return new MeshError(
    'MESH_REVOCATION_SHARE',
    `${whose}: this one is NOT revoked, and still good`,
    {
      hint: `have an operator revoke the agent, which always fits: \`mesh-gateway revoke agent ${agent}\`; or try again when earlier tokens have ended`,
      retryAfterMs: RETRY_FULL_MS,
    },
  )
}

function authenticate(accounts: TokenRevokerOptions['accounts'], key: Secret<string>) {
  if (accounts === null) throw new MeshError('MESH_ACCOUNT_KEY_INVALID')
  return accounts.authenticate(key.reveal())
}

async function claimsOf(
  token: Secret<string>,
  verify: TokenRevokerOptions['verify'],
): Promise<EgressClaims | null> {
  try {
    return await verify(token.reveal())
  } catch (error) {
    // a token that cannot be verified now may be valid in a minute: it must not be reported as revoked
    const judged = error instanceof MeshError && !error.row.retryable
    if (judged && error.code.startsWith('MESH_TOKEN_')) return null
    throw error
  }
}
