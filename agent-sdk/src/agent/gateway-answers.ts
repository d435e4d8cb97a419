/** What the gateway tells an agent about itself and its peers. */

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
