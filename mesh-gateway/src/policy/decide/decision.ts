/**
 * The result of a policy decision. A refusal is a value, not an error. `audit` means: no rule allows it, enforce mode
 * would refuse it with `code`, and it is admitted and recorded.
 */
import type { ErrorCode, Peer } from '@clawmesh/proto'
import type { DestinationSet } from '../../net/destination-set.ts'

export type Action = 'allow' | 'audit' | 'deny'

export interface Verdict {
  readonly action: Action
  /** Null when a rule allows it; otherwise the code of enforce mode. */
  readonly code: ErrorCode | null
  /**
   * The rule that decided, e.g. `acme.json#/delegation/allow/0`; null when none matched. Agents see it through
   * `toldRule`.
   */
  readonly rule: string | null
  /**
   * What to do about it; null for the general hint of the code. The agent sees it: it must contain nothing of another
   * tenant's policy.
   */
  readonly hint: string | null
  /** Like `hint`, for the operator alone, where the reason is another tenant's policy. Default: the same. */
  readonly operatorHint?: string
  readonly mode: 'enforce' | 'audit'
}

export interface DelegationQuestion {
  readonly caller: Peer
  readonly callee: Peer
  /** `package.Service/Method`, without the leading slash. */
  readonly method: string
  /** True when the caller acts within a chain that the gateway signed. */
  readonly withinChain: boolean
}

export interface DelegationLimits {
  /** Per calling agent. Null: no limit. */
  readonly callsPerMinute: number | null
  /** Per calling agent. Null: no limit. */
  readonly concurrentStreams: number | null
}

export interface DelegationDecision extends Verdict {
  readonly limits: DelegationLimits
}

export interface AskedOf {
  readonly method: string
  readonly path: string
  /**
   * The header by which a server may read another method or path: rules with methods or paths then do not match, as for a
   * tunnel. Default: none.
   */
  readonly override?: string | null
}

export interface EgressQuestion {
  readonly agent: Peer
  /** Canonical: lower case, punycode, no trailing dot; or an IP literal in canonical form, without brackets. */
  readonly host: string
  readonly port: number
  /**
   * The path as sent, without its query. Null for a tunnel, whose content the gateway does not see: rules with methods
   * or paths then do not match.
   */
  readonly request: AskedOf | null
  /** Of the token. A set, found by look-up, where they may be many. */
  readonly allowedDestinations: readonly string[] | DestinationSet
  /** The agents that delegated to it, the origin first: each must be allowed the destination too. Default: none. */
  readonly actors?: readonly Peer[]
  /** True when the agent acts within a chain that the gateway signed. Default: true if there are actors. */
  readonly withinChain?: boolean
}

export interface EgressLimits {
  readonly requestsPerMinute: number | null
  readonly burst: number | null
  /** WebSockets included. */
  readonly concurrentTunnels: number | null
  /** In absolute and relay form; a streaming answer counts until its end. */
  readonly concurrentRequests: number | null
  /** Per request. */
  readonly maxBodyBytes: number | null
}

export interface EgressDecision extends Verdict {
  /** The agent of the chain that is not allowed the destination; null when that is not the reason. */
  readonly actor?: Peer | null
  /** The protocol to the destination in relay form: TLS, unless the rule that allows it says http. */
  readonly scheme: 'https' | 'http'
  /** A ClientHello without a server name passes in a tunnel, by the rules of all agents in the chain. */
  readonly withoutServerName: boolean
  /**
   * The canonical path, where a rule with paths has judged it: it replaces the requested one upstream. Null: none has.
   */
  readonly path: string | null
  /** Limits of the agent. */
  readonly limits: EgressLimits
  /** Limits of all agents of its tenant together; null without any. */
  readonly tenantLimits: EgressLimits | null
}

export interface TunnelTls {
  /** Ports on which only TLS passes. */
  readonly ports: ReadonlySet<number>
  /** The treatment of a ClientHello without a server name. `by-rule`: the rule that allows the destination decides. */
  readonly noServerName: 'refuse' | 'allow' | 'by-rule'
  /** Outer names that a ClientHello with ECH may show in place of the host. */
  readonly echOuterNames: ReadonlySet<string>
  /** True: no ClientHello with ECH passes, with any outer name. */
  readonly withoutEch: boolean
  /**
   * What passes without TLS where TLS is not required: nothing; HTTP/1 for the host of the tunnel; that and protocols
   * other than HTTP; or anything, unjudged.
   */
  readonly clearText: 'refuse' | 'http' | 'other' | 'any'
}
