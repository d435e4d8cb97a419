/** The state of one peer, as an operator sees it: its addresses, their sessions, and which of them are avoided. */

export interface PeerState {
  /** Of the callers. Each tenant has sessions of its own. */
  readonly tenant: string
  /** As it is called, e.g. `researcher.acme.mesh.internal`. */
  readonly name: string
  /** Null where DNS gives the port. */
  readonly port: number | null
  readonly addresses: readonly AddressState[]
}

export interface AddressState {
  readonly ip: string
  readonly port: number
  readonly sessions: number
  readonly streams: number
  /** How long the address is still avoided after a failure, in milliseconds; 0 when it is not. */
  readonly avoided_ms: number
  /** Failures to connect, one after the other. */
  readonly failures: number
}
