/** A listener of the gateway: its address, drain and close. */
export interface ListenAddress {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** The path of a Unix socket; host and port are then unused. */
  readonly path?: string
}

export interface Port {
  /** The actual address. */
  readonly address: ListenAddress
  /** Graceful shutdown: refuses new work, lets open work end, and closes after `graceMs` milliseconds at the latest. */
  drain(graceMs: number): Promise<void>
  /** Ends everything at once. */
  close(): Promise<void>
}
