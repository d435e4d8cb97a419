/** Sends every request of fetch through the egress port: https by CONNECT, http in absolute form. Never direct. */
import type { TLSSocket } from 'node:tls'
import { Agent, type buildConnector, Dispatcher, Pool, ProxyAgent } from 'undici'
import { connectByTunnel, type TunnelOptions } from './connect-tunnel.ts'
import { dialFailure } from './port-dialer.ts'

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
    const { dial, timeoutMs } = options
    this.#plain = new ProxyAgent({
      uri: options.proxy.href,
      token: `Bearer ${options.token.reveal()}`,
      // with a tunnel the gateway would see neither method nor path
      proxyTunnel: false,
      ...(dial === null
        ? {}
        : {
            factory: (origin: URL, given: object) =>
              new Pool(origin, { ...given, connect: connectBy(dial, timeoutMs) }),
          }),
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

/** undici's own connector would keep TLS sessions, and send an address as a server name. */
function connectBy(dial: () => TLSSocket, timeoutMs: number): buildConnector.connector {
  return (_, callback) => {
    let socket: TLSSocket
    try {
      socket = dial()
    } catch (error) {
      callback(error instanceof Error ? error : new Error('dial'), null)
      return
    }
    const timer = setTimeout(
      () => socket.destroy(new Error('the egress port does not answer')),
      timeoutMs,
    )
    let told = false
    // stays: undici listens a moment after it was told
    socket.on('error', (error) => {
      clearTimeout(timer)
      if (!told) callback(dialFailure(error), null)
      told = true
    })
    socket.once('secureConnect', () => {
      clearTimeout(timer)
      told = true
      callback(null, socket)
    })
  }
}
