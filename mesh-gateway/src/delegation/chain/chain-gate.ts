/**
 * Checks the chain of delegation of a call: the token that the caller presents, whether the chain may grow by this
 * callee, and the token for the callee.
 */
import type { CertificateLink } from '@clawmesh/agent-sdk/mesh'
import { type DelegationClaims, MeshError, uuidV7 } from '@clawmesh/proto'
import type { Budgets } from '../../limits/budgets.ts'
import { chainFaultInWords } from '../../live/chain-fault.ts'
import { judgeChain } from '../../live/judge.ts'
import { createTrust } from '../../live/trust.ts'
import type { ChainLimits } from '../../policy/snapshot.ts'
import type { RevocationJudge } from '../../revocation/judge.ts'
import { certificateClaim } from '../../tokens/certificate-claim.ts'
import type { ChainTokens, PresentedClaims } from './chain-tokens.ts'
import { type ChainStep, extendChain } from './extend-chain.ts'

export interface ChainGateOptions {
  readonly tokens: ChainTokens
  readonly budgets: Budgets
  /** Default: nothing is revoked. */
  readonly revocations?: Pick<RevocationJudge, 'chain' | 'certificate'>
  /**
   * The trust bundle to which the certificates of a chain must lead. Default: they are not checked against a bundle.
   */
  readonly identity?: Parameters<typeof createTrust>[0]
  /** The longest life of a delegation token, in milliseconds. Read for each token. */
  readonly ttlMs: () => number
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number
}

export interface ChainQuestion {
  /** SPIFFE IDs. */
  readonly caller: string
  readonly callee: string
  readonly parent: DelegationClaims | null
  /** Id of the delegation. Default null: not given. */
  readonly delegationId?: string | null
  /** The caller's certificate and those above it. Default: none. */
  readonly links?: readonly CertificateLink[]
  /** Limits of the caller's tenant, for the number of hops. */
  readonly limits: ChainLimits
  /** Limits of the tenant in which the tree began, for the size of the tree. */
  readonly rootLimits: ChainLimits
  /** The tenant in which the tree began. */
  readonly rootTenant: string
  readonly narrow: ChainStep['narrow']
}

export interface ChainGate {
  /**
   * Verifies a presented token. @throws MeshError MESH_CHAIN_REVOKED; MESH_TOKEN_* when the caller may not present the
   * token
   */
  present(token: string, caller: string): PresentedClaims | Promise<PresentedClaims>
  /** As `ChainTokens.tree`: the tree of a task, whether or not that tree is still valid. */
  tree: ChainTokens['tree']
  /**
   * Checks whether the chain may grow, before the call waits for its turn. @throws MeshError as `extend`, except for
   * the budget
   */
  judge(question: ChainQuestion): void
  /** The token for the callee. @throws MeshError MESH_CHAIN_*, MESH_TOKEN_REQUEST_INVALID, MESH_LIMIT_TREES */
  extend(
    question: ChainQuestion,
  ): Promise<{ readonly token: string; readonly claims: DelegationClaims }>
}

/** For a tenant that sets no maxDelegationsPerRoot. */
const DEFAULT_MAX_DELEGATIONS = 1_000

export function createChainGate(options: ChainGateOptions): ChainGate {
  const { tokens, budgets, ttlMs, now = Date.now } = options
  const { revocations, identity = null } = options
  const trust = createTrust(identity)
  /** Returns the claims if neither the tree, nor any agent in it, nor any certificate of it is revoked. */
  function standing(claims: PresentedClaims): PresentedClaims {
    if (revocations === undefined) return claims
    const fault = judgeChain(claims.chain, { trust, revocations, nowMs: now() })
    if (fault === null) return claims
    const { code, message } = chainFaultInWords(fault)
    throw new MeshError(code, message, { facts: { txn: claims.txn } })
  }

  return {
    present(token, caller) {
      const claims = tokens.verify(token, caller)
      return claims instanceof Promise ? claims.then(standing) : standing(claims)
    },
    tree: tokens.tree,
    judge({ rootLimits: _, rootTenant: __, links: ___, ...step }) {
      extendChain({ ...step, nowMs: now(), ttlMs: ttlMs(), newTxn: '' })
    },
    async extend(question) {
      const { rootLimits, rootTenant, links = [], ...step } = question
      const nowMs = now()
      const crt = links.length === 0 ? null : certificateClaim(links)
      const link = extendChain({ ...step, crt, nowMs, ttlMs: ttlMs(), newTxn: uuidV7(nowMs) })
      const max = rootLimits.maxDelegationsPerRoot ?? DEFAULT_MAX_DELEGATIONS
      // the root delegation counts; a tree of one needs no counter
      const within =
        step.parent === null ? max > 0 : await budgets.spend(link.txn, max - 1, rootTenant)
      if (!within)
        throw new MeshError(
          'MESH_CHAIN_BUDGET_EXCEEDED',
          // the caller must not learn the limit of another tenant
          rootLimits === step.limits
            ? `the tree of ${link.sub} may have ${max} delegations`
            : `the tree of ${link.sub} has as many delegations as it may`,
          { facts: { txn: link.txn } },
        )
      return await tokens.sign(link)
    },
  }
}
