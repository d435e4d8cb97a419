/**
 * Where a call stands in its chain of delegation: what the caller presented, whether the chain may grow by this
 * callee, and the token that the callee gets.
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
  /** The trust bundle, which certificates that a chain came by must lead to. Default none: they are not judged by it. */
  readonly identity?: Parameters<typeof createTrust>[0]
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
  /** Id of the delegation; null, and by default: it is not said. */
  readonly delegationId?: string | null
  /** The caller's certificate, and those above it. Default none. */
  readonly links?: readonly CertificateLink[]
  /** Of the caller's tenant, for the hops of this link. */
  readonly limits: ChainLimits
  /** Of the tenant that the tree began in, for the size of the tree. */
  readonly rootLimits: ChainLimits
  /** That the tree began in. */
  readonly rootTenant: string
  readonly narrow: ChainStep['narrow']
}

export interface ChainGate {
  /** @throws MeshError MESH_CHAIN_REVOKED; MESH_TOKEN_* when the token is not the caller's to present */
  present(token: string, caller: string): PresentedClaims | Promise<PresentedClaims>
  /** As `ChainTokens.tree`: where a task belongs, whatever has become of that tree. */
  tree: ChainTokens['tree']
  /** Whether the chain may grow so, before anybody waits for a turn. @throws MeshError as `extend`, but for the budget */
  judge(question: ChainQuestion): void
  /** The token for the callee. @throws MeshError MESH_CHAIN_*, MESH_TOKEN_REQUEST_INVALID, MESH_LIMIT_TREES */
  extend(
    question: ChainQuestion,
  ): Promise<{ readonly token: string; readonly claims: DelegationClaims }>
}

/** Of a tenant that sets no maxDelegationsPerRoot. */
export const DEFAULT_MAX_DELEGATIONS = 1_000

export function createChainGate(options: ChainGateOptions): ChainGate {
  const { tokens, budgets, ttlMs, now = Date.now } = options
  const { revocations, identity = null } = options
  const trust = createTrust(identity)
  /** The claims of a tree that nobody has revoked, nor anybody in it, nor what they came with. */
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
      // the root of a tree is one of it, and nothing has to be remembered of a tree that is no more than that
      const within =
        step.parent === null ? max > 0 : await budgets.spend(link.txn, max - 1, rootTenant)
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
