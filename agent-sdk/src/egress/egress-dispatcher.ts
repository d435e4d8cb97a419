/** Sends every request of fetch through the egress port: https by CONNECT, http in absolute form. Never direct. */
import { Agent, Dispatcher, ProxyAgent } from 'undici'
import { connectByTunnel, type TunnelOptions } from './connect-tunnel.ts'

export { fetch } from 'undici'

export class EgressDispatcher extends Dispatcher {
  readonly #tunnels: Agent
  readonly #plain: ProxyAgent

  constructor(options: TunnelOptions) {
    super()
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
    const way = origin.protocol === 'http:' ? this.#plain : this.#tunnels
    // as text: of a URL, ProxyAgent would make http://host//path
    return way.dispatch({ ...options, origin: origin.origin }, handler)
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
