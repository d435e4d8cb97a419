/** A listener of the gateway, as the composition sees it. */
export interface ListenAddress {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Of a Unix socket; host and port say nothing then. */
  readonly path?: string
}

export interface Port {
  /** Where it really listens. */
  readonly address: ListenAddress
  /** Refuses new work, lets what runs end, and closes after `graceMs` milliseconds at the latest. */
  drain(graceMs: number): Promise<void>
  /** Ends everything at once. */
  close(): Promise<void>
}
