/**
 * What policy answers. A refusal is a value, not an error.
 * `audit` means: nothing allows it, enforce mode would have refused it with `code`, and it is let through and recorded.
 */
import type { ErrorCode, Peer } from '@clawmesh/proto'
import type { DestinationSet } from '../../net/destination-set.ts'

export type Action = 'allow' | 'audit' | 'deny'

export interface Verdict {
  readonly action: Action
  /** Null when allowed by a rule; otherwise what enforce mode answers. */
  readonly code: ErrorCode | null
  /** Which rule decided, e.g. `acme.json#/delegation/allow/0`; null when none matched. Agents are told what `toldRule` leaves of it. */
  readonly rule: string | null
  /** What would help here; null for the general hint of the code. The agent is told it: nothing of another tenant's policy is in it. */
  readonly hint: string | null
  /** As `hint`, for the operator alone, where another tenant's policy is why. Default: the same. */
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

export interface EgressQuestion {
  readonly agent: Peer
  /** Canonical: lower case, punycode, no trailing dot; or an IP literal in its canonical form, without brackets. */
  readonly host: string
  readonly port: number
  /** The path as it was sent, without its query. Null for a tunnel, whose inside the gateway does not see: then rules with methods or paths do not match. */
  readonly request: { readonly method: string; readonly path: string } | null
  /** Of the token. A set where they may be many: it is found by look-up. */
  readonly allowedDestinations: readonly string[] | DestinationSet
  /** The agents that delegated to it, the origin first: each must be allowed the destination too. Default: none. */
  readonly actors?: readonly Peer[]
  /** True when the agent acts within a chain that the gateway signed. Default: there are actors. */
  readonly withinChain?: boolean
}

export interface EgressLimits {
  readonly requestsPerMinute: number | null
  readonly burst: number | null
  /** WebSockets among them. */
  readonly concurrentTunnels: number | null
  /** In absolute and relay form; a streaming answer counts while it flows. */
  readonly concurrentRequests: number | null
  /** Of one request. */
  readonly maxBodyBytes: number | null
}

export interface EgressDecision extends Verdict {
  /** Of the chain, the one who is not allowed the destination; null when that is not why. */
  readonly actor?: Peer | null
  /** What the gateway speaks to the destination in relay form: TLS, unless the rule that allows it says otherwise. */
  readonly scheme: 'https' | 'http'
  /** In a tunnel a ClientHello that names no server passes, as the rules of everybody in the chain say. */
  readonly withoutServerName: boolean
  /** The canonical path, where a rule with paths has judged it: it is sent on in place of the one that was asked for. Null: none has. */
  readonly path: string | null
  /** Of the agent. */
  readonly limits: EgressLimits
  /** Of all agents of its tenant together; null when there are none. */
  readonly tenantLimits: EgressLimits | null
}

export interface TunnelTls {
  /** Where nothing but TLS passes. */
  readonly ports: ReadonlySet<number>
  /** What becomes of a ClientHello that names no server. `by-rule`: the rule that allows the destination says so. */
  readonly noServerName: 'refuse' | 'allow' | 'by-rule'
  /** What a ClientHello with ECH may show in place of the host. */
  readonly echOuterNames: ReadonlySet<string>
  /** True: no ClientHello with ECH passes, whatever it shows. */
  readonly withoutEch: boolean
  /**
   * What passes without TLS where TLS is not required: nothing; HTTP/1 for the host of the tunnel; that and protocols that are not HTTP;
   * or anything, unjudged.
   */
  readonly clearText: 'refuse' | 'http' | 'other' | 'any'
}
