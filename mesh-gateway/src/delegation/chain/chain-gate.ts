/**
 * Where a call stands in its chain of delegation: what the caller presented, whether the chain may grow by this
 * callee, and the token that the callee gets.
 */
import { actorsOf, type DelegationClaims, MeshError, uuidV7 } from '@clawmesh/proto'
import type { Budgets } from '../../limits/budgets.ts'
import type { ChainLimits } from '../../policy/snapshot.ts'
import type { RevocationJudge } from '../../revocation/judge.ts'
import type { ChainTokens } from './chain-tokens.ts'
import { type ChainStep, extendChain } from './extend-chain.ts'

export interface ChainGateOptions {
  readonly tokens: ChainTokens
  readonly budgets: Budgets
  /** Default: nothing is revoked. */
  readonly revocations?: Pick<RevocationJudge, 'chain'>
  /** How long a delegation token is good at most, in milliseconds. Read for each token. */
  readonly ttlMs: () => number
  /** Milliseconds since the epoch. Default the system's clock. */
  readonly now?: () => number
}

export interface ChainQuestion {
  /** SPIFFE IDs. */
  readonly caller: string
  readonly callee: string
  readonly parent: DelegationClaims | null
  /** Of the caller's tenant, for the hops of this link. */
  readonly limits: ChainLimits
  /** Of the tenant that the tree began in, for the size of the tree. */
  readonly rootLimits: ChainLimits
  readonly narrow: ChainStep['narrow']
}

export interface ChainGate {
  /** @throws MeshError MESH_CHAIN_REVOKED; MESH_TOKEN_* when the token is not the caller's to present */
  present(token: string, caller: string): DelegationClaims | Promise<DelegationClaims>
  /** As `ChainTokens.tree`: where a task belongs, whatever has become of that tree. */
  tree: ChainTokens['tree']
  /** Whether the chain may grow so, before anybody waits for a turn. @throws MeshError as `extend`, but for the budget */
  judge(question: ChainQuestion): void
  /** The token for the callee. @throws MeshError MESH_CHAIN_*, MESH_TOKEN_REQUEST_INVALID */
  extend(
    question: ChainQuestion,
  ): Promise<{ readonly token: string; readonly claims: DelegationClaims }>
}

/** Of a tenant that sets no maxDelegationsPerRoot. */
export const DEFAULT_MAX_DELEGATIONS = 1_000

export function createChainGate(options: ChainGateOptions): ChainGate {
  const { tokens, budgets, ttlMs, now = Date.now } = options
  /** The claims of a tree that nobody has revoked, nor anybody in it. */
  function standing(claims: DelegationClaims): DelegationClaims {
    const revoked = options.revocations?.chain(claims.txn, actorsOf(claims.act)) ?? null
    if (revoked === null) return claims
    throw new MeshError(revoked.code, revoked.message, { facts: { txn: claims.txn } })
  }

  return {
    present(token, caller) {
      const claims = tokens.verify(token, caller)
      return claims instanceof Promise ? claims.then(standing) : standing(claims)
    },
    tree: tokens.tree,
    judge({ rootLimits: _, ...step }) {
      extendChain({ ...step, nowMs: now(), ttlMs: ttlMs(), newTxn: '' })
    },
    async extend(question) {
      const { rootLimits, ...step } = question
      const nowMs = now()
      const link = extendChain({ ...step, nowMs, ttlMs: ttlMs(), newTxn: uuidV7(nowMs) })
      const max = rootLimits.maxDelegationsPerRoot ?? DEFAULT_MAX_DELEGATIONS
      // the root of a tree is one of it, and nothing has to be remembered of a tree that is no more than that
      const within = step.parent === null ? max > 0 : await budgets.spend(link.txn, max - 1)
      if (!within)
        throw new MeshError(
          'MESH_CHAIN_BUDGET_EXCEEDED',
          // how many another tenant gives its trees is not for the caller to know
          rootLimits === step.limits
            ? `the tree of ${link.sub} may have ${max} delegations`
            : `the tree of ${link.sub} has as many delegations as it may`,
          { facts: { txn: link.txn } },
        )
      return await tokens.sign(link)
    },
  }
}
