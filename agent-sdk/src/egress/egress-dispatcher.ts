/** Sends every request of fetch through the egress port: https by CONNECT, http in absolute form. Never direct. */
import { Agent, type buildConnector, Dispatcher, Pool, ProxyAgent } from 'undici'
import { connectByTunnel, type TunnelOptions } from './connect-tunnel.ts'
import { dialFailure } from './port-dialer.ts'
import { type PortConnection, reachPort } from './reach-port.ts'

/** undici ends what is silent for five minutes, and a model may think for longer: how long it waits the gateway says, and the caller. */
const PATIENT = Object.freeze({ headersTimeout: 0, bodyTimeout: 0 })

export class EgressDispatcher extends Dispatcher {
  readonly #tunnels: Agent
  readonly #plain: ProxyAgent
  readonly #traceparent: () => string

  constructor(options: TunnelOptions) {
    super()
    this.#traceparent = options.traceparent
    this.#tunnels = new Agent({ connect: connectByTunnel(options) })
    const { dial, proxy } = options
    this.#plain = new ProxyAgent({
      uri: proxy.href,
      token: `Bearer ${options.token.reveal()}`,
      // with a tunnel the gateway would see neither method nor path
      proxyTunnel: false,
      factory: (origin: URL, given: object) =>
        new Pool(origin, { ...given, connect: connectBy(() => reachPort(proxy, dial)) }),
    })
  }

  override dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): boolean {
    const origin = new URL(String(options.origin))
    // as text: of a URL, ProxyAgent would make http://host//path
    const whole = { ...options, ...PATIENT, origin: origin.origin }
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

/** undici's own connector would keep TLS sessions, send an address as a server name, and wait for 10 s. */
function connectBy(reach: () => PortConnection): buildConnector.connector {
  return (_, callback) => {
    let connection: PortConnection
    try {
      connection = reach()
    } catch (error) {
      callback(error instanceof Error ? error : new Error('dial'), null)
      return
    }
    const { socket, ready } = connection
    let told = false
    // stays: undici listens a moment after it was told
    socket.on('error', (error) => {
      if (!told) callback(dialFailure(error), null)
      told = true
    })
    socket.once(ready, () => {
      told = true
      callback(null, socket)
    })
  }
}
