/** Sends every request of fetch through the egress port: https by CONNECT, http in absolute form. Never direct. */
import { Agent, type buildConnector, Dispatcher, Pool, ProxyAgent } from 'undici'
import { connectByTunnel, type TunnelOptions } from './connect-tunnel.ts'
import { dialFailure } from './port-dialer.ts'
import { type PortConnection, reachPort } from './reach-port.ts'

/** undici ends what is silent for five minutes, and a model may think for longer: how long it waits the gateway says, and the caller. */
const PATIENT = Object.freeze({ headersTimeout: 0, bodyTimeout: 0 })

export interface EgressDispatcherOptions extends TunnelOptions {
  /**
   * The id of the trace that the request names; null: none. The gateway records a tunnel once, with the trace that it is opened
   * for, so requests of several named traces share none.
   */
  readonly traceId: () => string | null
}

/** Traces that have tunnels of their own at once. */
const MAX_TRACES = 16

export class EgressDispatcher extends Dispatcher {
  readonly #connect: buildConnector.connector
  readonly #traceId: () => string | null
  /** By the id of a trace, the latest last; the empty text is for all that name none. */
  readonly #tunnels = new Map<string, Agent>()
  readonly #leaving = new Set<Agent>()
  readonly #plain: ProxyAgent
  readonly #traceparent: () => string

  constructor(options: EgressDispatcherOptions) {
    super()
    this.#traceparent = options.traceparent
    this.#traceId = options.traceId
    this.#connect = connectByTunnel(options)
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
    if (origin.protocol !== 'http:') return this.#tunnelsOf().dispatch(whole, handler)
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
    const tunnels = [...this.#tunnels.values()].map((agent) => this.#leave(agent))
    return Promise.all([...tunnels, this.#plain.close()])
  }

  /** Ends requests in flight. */
  abort(): Promise<unknown> {
    const tunnels = [...this.#tunnels.values(), ...this.#leaving].map((agent) => agent.destroy())
    return Promise.all([...tunnels, this.#plain.destroy()])
  }

  #tunnelsOf(): Agent {
    const key = this.#traceId() ?? ''
    const agent = this.#tunnels.get(key) ?? new Agent({ connect: this.#connect })
    this.#tunnels.delete(key)
    this.#tunnels.set(key, agent)
    const [oldest] = this.#tunnels
    if (this.#tunnels.size > MAX_TRACES && oldest !== undefined) {
      this.#tunnels.delete(oldest[0])
      void this.#leave(oldest[1])
    }
    return agent
  }

  /** Its requests end, then it closes. */
  #leave(agent: Agent): Promise<void> {
    this.#leaving.add(agent)
    const gone = () => void this.#leaving.delete(agent)
    return agent.close().then(gone, gone)
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
