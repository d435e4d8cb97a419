/** Whether whoever a token speaks for may still be heard. Asked at every request, after the memory of verified tokens, and of what is open. */
import type { ErrorCode } from '@clawmesh/proto'
import type { RevocationJudge } from '../revocation/revocations.ts'
import type { Principal } from './credential.ts'

export interface RevokedPrincipal {
  readonly code: Extract<ErrorCode, 'MESH_TOKEN_REVOKED' | 'MESH_CHAIN_REVOKED'>
  readonly message: string
  /** Null: that of the error table. */
  readonly hint: string | null
}

/** What the table says, to get a fresh token, would have its client ask for one again and again. */
const NO_TOKEN_HELPS = 'a fresh token would be refused too; ask who runs the gateway'

export function judgeRevoked(
  { claims, actors }: Principal,
  revocations: Pick<RevocationJudge, 'token' | 'agent' | 'chain'>,
): RevokedPrincipal | null {
  // to the client of a proxy a revoked agent is a token that is no good any more
  const agent = revocations.agent(claims.sub)
  if (agent !== null)
    return { code: 'MESH_TOKEN_REVOKED', message: agent.message, hint: NO_TOKEN_HELPS }
  const token = revocations.token(claims.jti)
  if (token !== null) return { code: 'MESH_TOKEN_REVOKED', message: token.message, hint: null }
  if (claims.txn === undefined) return null
  const ids = actors?.map((actor) => actor.id) ?? []
  const chain = revocations.chain(claims.txn, ids)
  return chain === null ? null : { code: 'MESH_CHAIN_REVOKED', message: chain.message, hint: null }
}
