/** The timeouts of the egress port. */
export interface EgressTimeouts {
  /** Timeout of the whole head of a request, in milliseconds. Default 10,000. */
  readonly headerMs: number
  /** Timeout between two requests on a connection. Default 60,000. */
  readonly keepAliveMs: number
  /** The same, when the last request had no valid token. Default 5,000. */
  readonly unauthenticatedKeepAliveMs: number
  /** Timeout of dialling all addresses of a destination. Default 10,000. */
  readonly dialMs: number
  /** Timeout of the ClientHello in a tunnel. Default 10,000. */
  readonly helloMs: number
  /** Timeout without a byte either way in a tunnel or a body. Default 300,000. */
  readonly idleMs: number
  /**
   * The same while an answer is awaited: the whole request has been sent, or the client sent last in the tunnel.
   * Default 900,000.
   */
  readonly answerMs: number
  /** Timeout of an idle upstream connection. Default 4,000. */
  readonly upstreamIdleMs: number
}

export const DEFAULT_TIMEOUTS: EgressTimeouts = Object.freeze({
  headerMs: 10_000,
  keepAliveMs: 60_000,
  unauthenticatedKeepAliveMs: 5_000,
  dialMs: 10_000,
  helloMs: 10_000,
  idleMs: 300_000,
  answerMs: 900_000,
  upstreamIdleMs: 4_000,
})

/** How long the connection of a client is kept between two requests, in milliseconds. */
export function keptMs(
  client: { readonly authenticated: boolean },
  {
    keepAliveMs,
    unauthenticatedKeepAliveMs,
  }: Pick<EgressTimeouts, 'keepAliveMs' | 'unauthenticatedKeepAliveMs'>,
): number {
  return client.authenticated ? keepAliveMs : Math.min(keepAliveMs, unauthenticatedKeepAliveMs)
}
