/** Sends every request of fetch through the egress port: https by CONNECT, http in absolute form. Never direct. */
import { Agent, Dispatcher, ProxyAgent } from 'undici'
import { connectByTunnel, type TunnelOptions } from './connect-tunnel.ts'

export { fetch, Headers } from 'undici'

export class EgressDispatcher extends Dispatcher {
  readonly #tunnels: Agent
  readonly #plain: ProxyAgent
  readonly #traceparent: () => string

  constructor(options: TunnelOptions) {
    super()
    this.#traceparent = options.traceparent
    this.#tunnels = new Agent({ connect: connectByTunnel(options) })
    this.#plain = new ProxyAgent({
      uri: options.proxy.href,
      token: `Bearer ${options.token.reveal()}`,
      // with a tunnel the gateway would see neither method nor path
      proxyTunnel: false,
    })
  }

  override dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): boolean {
    const origin = new URL(String(options.origin))
    // as text: of a URL, ProxyAgent would make http://host//path
    const whole = { ...options, origin: origin.origin }
    if (origin.protocol !== 'http:') return this.#tunnels.dispatch(whole, handler)
    return this.#plain.dispatch({ ...whole, headers: this.#traced(options.headers) }, handler)
  }

  /** What goes to the gateway names the trace; the gateway says it to the destination in its own name. */
  #traced(
    headers: Dispatcher.DispatchOptions['headers'],
  ): NonNullable<Dispatcher.DispatchOptions['headers']> {
    const traceparent = this.#traceparent()
    if (Array.isArray(headers)) return [...headers, 'traceparent', traceparent]
    return { ...headers, traceparent }
  }

  /** Lets requests in flight end. */
  finish(): Promise<unknown> {
    return Promise.all([this.#tunnels.close(), this.#plain.close()])
  }

  /** Ends requests in flight. */
  abort(): Promise<unknown> {
    return Promise.all([this.#tunnels.destroy(), this.#plain.destroy()])
  }
}
