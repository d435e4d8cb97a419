/** What the gateway tells an agent about itself and its peers. */
import type { WireExplanation } from '../wire/messages.ts'

/** The identity that the gateway reads from this agent's certificate. */
export interface WhoAmI {
  /** SPIFFE ID. */
  readonly id: string
  readonly tenant: string
  readonly agent: string
  readonly certificateNotAfter: Date
  /** SHA-256, lower-case hexadecimal. */
  readonly certificateFingerprint: string
  /** SPIFFE ID of the gateway. */
  readonly gateway: string
}

/** A peer that policy lets this agent delegate to, as `agent.peers` answers it. */
export interface AllowedPeer {
  /** What `delegate` takes. Empty where policy names a pattern and not a peer. */
  readonly name: string
  readonly tenant: string
  /** `*` for any of the tenant. */
  readonly agent: string
  /** As policy writes them; `*` for any. */
  readonly methods: readonly string[]
  /** The policy rule that allows it. */
  readonly rule: string
}

/** What policy says of a call, and why. */
export interface Explanation {
  /** `audit`: no rule allows it, and it is let through and recorded. */
  readonly action: 'allow' | 'audit' | 'deny'
  /** Of the table of errors; null when a rule allows it. With `audit`, what enforce mode would have answered. */
  readonly code: string | null
  /** The code in words. */
  readonly reason: string | null
  /** Which rule decided, e.g. `acme.json#/delegation/allow/0`; null when none matched. */
  readonly rule: string | null
  /** The policy file of that rule, or else the one in which a rule is missing. */
  readonly file: string | null
  /** What would help. */
  readonly hint: string | null
  readonly mode: 'enforce' | 'audit'
  /** Of the policy that was asked. */
  readonly generation: number
  /**
   * Of a host that no rule allows as a whole: rules allow requests of certain methods or paths there, and `hint` names them. False for
   * a peer, and from a gateway that is older than this field.
   */
  readonly someRequests: boolean
}

/** From the wire, where an empty text stands for nothing. What is not known is taken for the stricter. */
export function readExplanation(said: Readonly<WireExplanation>): Explanation {
  const text = (value: string) => (value === '' ? null : value)
  return Object.freeze({
    action: said.action === 'allow' || said.action === 'audit' ? said.action : 'deny',
    code: text(said.code),
    reason: text(said.reason),
    rule: text(said.rule),
    file: text(said.file),
    hint: text(said.hint),
    mode: said.mode === 'audit' ? 'audit' : 'enforce',
    generation: said.generation,
    someRequests: said.some_requests,
  })
}
