/** What a test decides in place of policy. */
import { type ErrorCode, MeshError } from '@clawmesh/proto'

/** What policy is asked: may this agent do this? */
export interface PolicyQuestion {
  readonly plane: 'delegation' | 'egress'
  /** SPIFFE ID of the agent that calls or fetches. */
  readonly agent: string
  /** The full name of the peer, or host:port of the destination. */
  readonly to: string
  /** `package.Service/Method`, or the method of HTTP. */
  readonly method: string
  /** SPIFFE IDs of the agents on whose behalf it is done, first the one that the chain began with; empty outside of a chain. */
  readonly chain: readonly string[]
}

/** Null lets it through; a code of the table of errors, or a MeshError, refuses it. */
export type PolicyRule = (asked: PolicyQuestion) => ErrorCode | MeshError | null

/** What one call or one fetch came to. */
export interface TestRecord extends PolicyQuestion {
  /** Why it was refused; null: it was let through. */
  readonly code: string | null
  /** Id of the tree that it is part of, as `root_id` of the audit log; null outside of any. */
  readonly rootId: string | null
  readonly traceId: string
}

export interface MemoryPolicy {
  /** The first rule that refuses decides. Returns what takes the rule back. */
  add(rule: PolicyRule): () => void
  /** Null when no rule refuses. */
  judge(asked: PolicyQuestion): MeshError | null
}

export function createMemoryPolicy(): MemoryPolicy {
  const rules = new Set<PolicyRule>()
  return {
    add(rule) {
      const own: PolicyRule = (asked) => rule(asked)
      rules.add(own)
      return () => rules.delete(own)
    },
    judge(asked) {
      for (const rule of rules) {
        const refusal = rule(asked)
        if (refusal !== null) return refusal instanceof MeshError ? refusal : new MeshError(refusal)
      }
      return null
    },
  }
}
