/**
 * Takes a token back before it expires, for whoever holds it and for the service account of its agent. It goes to the
 * gateway's list of revocations, which other gateways read too. Which tokens are good nobody learns by it (RFC 7009).
 */
import { type EgressClaims, MeshError, type Secret } from '@clawmesh/proto'
import type { Limits } from '../limits/limits.ts'
import { addToList, isRevocationValue } from '../revocation/list-file.ts'
import type { ServiceAccounts } from './service-accounts.ts'

export interface TokenRevokerOptions {
  /** @throws MeshError MESH_TOKEN_* */
  readonly verify: (token: string) => EgressClaims | Promise<EgressClaims>
  /** Null: there are none. */
  readonly accounts: Pick<ServiceAccounts, 'authenticate'> | null
  readonly limits: Pick<Limits, 'take'>
  /** The gateway's list, as a file. */
  readonly list: string
  readonly revocations: { token(jti: string): object | null; reload(): Promise<void> }
  /** The clock, milliseconds since the epoch. Default the system's. */
  readonly now?: () => number
}

/**
 * Null for the key: the token speaks for itself. A token that is good for nothing is revoked already.
 * @throws MeshError MESH_ACCOUNT_KEY_INVALID, MESH_TOKEN_AGENT_MISMATCH, MESH_TOKEN_ISSUER_UNAVAILABLE, MESH_RATE_LIMITED, MESH_DISK_WRITE, MESH_REVOCATION_INVALID
 */
export type RevokeToken = (token: Secret<string>, key: Secret<string> | null) => Promise<void>

/** As long as clocks may differ, and some more. */
const AFTER_EXPIRY_MS = 60_000
/** Nobody fills the list: an entry ends with its token. */
const PER_MINUTE = 60

export function createTokenRevoker(options: TokenRevokerOptions): RevokeToken {
  const { accounts, limits, list, revocations, now = Date.now } = options
  return async (token, key) => {
    const account = key === null ? null : authenticate(accounts, key)
    const claims = await claimsOf(token, options.verify)
    if (claims === null) return
    const { agent_id, tenant, jti, exp } = claims
    if (account !== null && (account.tenant !== tenant || account.agent !== agent_id))
      throw new MeshError('MESH_TOKEN_AGENT_MISMATCH', "the token is another agent's", {
        hint: 'a service account may revoke the tokens of its own agent',
      })
    if (revocations.token(jti) !== null) return
    if (!isRevocationValue('token', jti))
      throw new MeshError('MESH_REVOCATION_INVALID', 'the token has no id that a list can hold', {
        hint: 'revoke its agent, or have its issuer take it back',
      })
    const retryAfterMs = await limits.take(`revoke:${tenant}/${agent_id}`, PER_MINUTE, PER_MINUTE)
    if (retryAfterMs !== null)
      throw new MeshError(
        'MESH_RATE_LIMITED',
        `an agent may revoke ${PER_MINUTE} tokens per minute`,
        { retryAfterMs },
      )
    const since = new Date(now()).toISOString()
    const until = new Date(exp * 1000 + AFTER_EXPIRY_MS).toISOString()
    const reason = account === null ? 'by who held it' : `by service account ${account.id}`
    await addToList(list, { kind: 'token', value: jti, reason, since, until }, now())
    await revocations.reload()
  }
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
    // one that cannot be judged now may be good in a minute: that it is revoked must not be said
    const judged = error instanceof MeshError && !error.row.retryable
    if (judged && error.code.startsWith('MESH_TOKEN_')) return null
    throw error
  }
}
