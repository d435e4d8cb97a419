/**
 * Admits connections to a port, before a byte of them is read. A connection is unauthenticated until its port says otherwise.
 * Bounds for each source (an IPv4 address, an IPv6 /64) and for the port. A full port closes an unauthenticated connection to
 * make room: of the source that has the most of them, the one that has been so for longest. Authenticated ones are never closed
 * for that, and do not count against the rate of new connections.
 */
import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { type ClientAddress, clientAddressOf, NO_ADDRESS, sourceOf } from '../net/client-address.ts'
import type { ConnectionRefusal } from '../telemetry/metrics-port.ts'
import type { RefusalLog } from '../telemetry/refusal-log.ts'
import { LargestSource } from './largest-source.ts'

export interface ConnectionGateLimits {
  readonly maxConnections: number
  readonly maxConnectionsPerAddress: number
  /** Connections that are not authenticated, at once. */
  readonly maxUnauthenticated: number
  readonly maxUnauthenticatedPerAddress: number
  /** New ones from one address that are not authenticated in the end; twice that in a burst. */
  readonly newConnectionsPerSecond: number
  /** Time to authenticate, from the first packet on, in milliseconds. Null: the port has a clock of its own. */
  readonly authenticateMs: number | null
  /**
   * A younger connection is not closed to make room, in milliseconds: where authenticating takes a while, clients that come all
   * at once would otherwise end each other's.
   */
  readonly minEvictionAgeMs: number
}

export interface GatedClient extends ClientAddress {
  /** What it is counted by; empty over a Unix socket. */
  readonly source: string
  readonly authenticated: boolean
  /** Whether it may be closed to make room for others: not while it is authenticated. */
  setAuthenticated(authenticated: boolean): void
}

export interface ConnectionGate {
  /** Null when the socket has been closed instead. */
  admit(socket: Socket): GatedClient | null
  /** Of an admitted socket, or of a TLS socket on one, also when it has closed. */
  of(socket: object): GatedClient | null
  /** The same; no address when the gate does not know it. */
  addressOf(socket: object): ClientAddress
  closeUnauthenticated(): void
  /** Closes all connections, whatever they still have to send. */
  closeAll(): void
}

interface Source {
  readonly key: string
  open: number
  /** The one that has been so for longest comes first. */
  readonly unauthenticated: Set<Connection>
  /** Of the bucket of new connections. */
  tokens: number
  atMs: number
}

interface Connection extends GatedClient {
  readonly socket: Socket
  readonly of: Source
  readonly since: number
  timer: NodeJS.Timeout | null
}

const BURST = 2
const SWEEP_AT = 10_000

export interface ConnectionGateOptions {
  readonly limits: ConnectionGateLimits
  readonly refused: RefusalLog
  /** Clients have no address, and all are one source without bounds of its own. Default false. */
  readonly unixSocket?: boolean
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
}

export function createConnectionGate(options: ConnectionGateOptions): ConnectionGate {
  return new Gate(options)
}

class Gate implements ConnectionGate {
  readonly #limits: ConnectionGateLimits
  readonly #refused: RefusalLog
  readonly #unixSocket: boolean
  readonly #now: () => number
  readonly #sources = new Map<string, Source>()
  readonly #connections = new Set<Connection>()
  readonly #bySocket = new WeakMap<object, Connection>()
  readonly #ranking = new LargestSource<Source>()
  #unauthenticated = 0
  #sweepAt = SWEEP_AT

  constructor(options: ConnectionGateOptions) {
    const { limits, refused, unixSocket = false, now = () => performance.now() } = options
    this.#limits = limits
    this.#refused = refused
    this.#unixSocket = unixSocket
    this.#now = now
  }

  admit(socket: Socket): GatedClient | null {
    const client = clientAddressOf(socket)
    if (client.ip === null && !this.#unixSocket) {
      // it has gone already
      socket.on('error', () => {})
      socket.destroy()
      return null
    }
    const source = this.#findSource(sourceOf(client.ip))
    const reason = this.#refusalOf(source)
    if (reason !== null) {
      this.#refused(reason, { client })
      socket.on('error', () => {})
      this.#closeAtOnce(socket)
      return null
    }
    const one = this.#connectionOf(socket, client, source)
    source.tokens -= 1
    source.open += 1
    this.#connections.add(one)
    this.#bySocket.set(socket, one)
    this.#mark(one, true)
    socket.once('close', () => this.#forget(one))
    return one
  }

  of(socket: object): GatedClient | null {
    // Node keeps the socket that a TLS socket was made of there
    const below: unknown = Reflect.get(socket, '_parent')
    const known = typeof below === 'object' && below !== null ? this.#bySocket.get(below) : null
    return known ?? this.#bySocket.get(socket) ?? null
  }

  addressOf(socket: object): ClientAddress {
    return this.of(socket) ?? NO_ADDRESS
  }

  closeUnauthenticated(): void {
    for (const one of [...this.#connections]) if (!one.authenticated) one.socket.destroy()
  }

  closeAll(): void {
    for (const { socket } of [...this.#connections]) socket.destroy()
  }

  #findSource(key: string): Source {
    const atMs = this.#now()
    const known = this.#sources.get(key)
    if (known !== undefined) {
      known.tokens = this.#refilled(known, atMs)
      known.atMs = atMs
      return known
    }
    if (this.#sources.size >= this.#sweepAt) this.#sweep(atMs)
    const tokens = this.#limits.newConnectionsPerSecond * BURST
    const fresh = { key, open: 0, unauthenticated: new Set<Connection>(), tokens, atMs }
    this.#sources.set(key, fresh)
    return fresh
  }

  #refilled({ tokens, atMs }: Source, nowMs: number): number {
    const { newConnectionsPerSecond: rate } = this.#limits
    return Math.min(rate * BURST, tokens + ((nowMs - atMs) * rate) / 1000)
  }

  /** A source without connections and with a full bucket says nothing that a new one would not. */
  #sweep(nowMs: number): void {
    const full = this.#limits.newConnectionsPerSecond * BURST
    for (const [key, source] of this.#sources)
      if (source.open === 0 && this.#refilled(source, nowMs) >= full) this.#sources.delete(key)
    this.#sweepAt = Math.max(SWEEP_AT, this.#sources.size * 2)
  }

  #mark(one: Connection, isUnauthenticated: boolean): void {
    const set = one.of.unauthenticated
    const before = set.size
    if (isUnauthenticated) set.add(one)
    else set.delete(one)
    if (set.size === before) return
    this.#unauthenticated += set.size - before
    this.#ranking.changed(one.of, before, set.size)
    if (isUnauthenticated || one.timer === null) return
    clearTimeout(one.timer)
    one.timer = null
  }

  #forget(one: Connection): void {
    if (!this.#connections.delete(one)) return
    this.#mark(one, false)
    one.of.open -= 1
  }

  /** Closes an unauthenticated connection of the source, or of the largest. False when there is none. */
  #makeRoom(from: Source | null, reason: ConnectionRefusal): boolean {
    const [victim] = from?.unauthenticated ?? []
    if (victim === undefined || this.#now() - victim.since < this.#limits.minEvictionAgeMs)
      return false
    this.#forget(victim)
    this.#refused(reason, { client: victim })
    this.#closeAtOnce(victim.socket)
    return true
  }

  /** A reset: an orderly end would leave the socket to us for another minute. */
  #closeAtOnce(socket: Socket): void {
    if (this.#unixSocket) socket.destroy()
    else socket.resetAndDestroy()
  }

  /** Why it may not come in, after room was made where it can be. */
  #refusalOf(source: Source): ConnectionRefusal | null {
    const limits = this.#limits
    const bounded = source.key !== ''
    // first of all: none is closed for one that does not come in
    if (bounded && source.tokens < 1) return 'connection-rate'
    if (bounded && source.open >= limits.maxConnectionsPerAddress)
      if (!this.#makeRoom(source, 'connections-per-address')) return 'connections-per-address'
    if (bounded && source.unauthenticated.size >= limits.maxUnauthenticatedPerAddress)
      if (!this.#makeRoom(source, 'handshakes')) return 'handshakes'
    if (this.#unauthenticated >= limits.maxUnauthenticated)
      if (!this.#makeRoom(this.#ranking.largest(), 'handshakes')) return 'handshakes'
    if (this.#connections.size >= limits.maxConnections)
      if (!this.#makeRoom(this.#ranking.largest(), 'connections')) return 'connections'
    return null
  }

  #connectionOf(socket: Socket, client: ClientAddress, source: Source): Connection {
    const { authenticateMs } = this.#limits
    const one: Connection = {
      ...client,
      source: source.key,
      socket,
      of: source,
      since: this.#now(),
      timer: null,
      get authenticated() {
        return !source.unauthenticated.has(one)
      },
      setAuthenticated: (authenticated) => this.#setAuthenticated(one, authenticated),
    }
    if (authenticateMs !== null)
      one.timer = setTimeout(() => {
        this.#refused('handshake-timeout', { client: one })
        socket.destroy()
      }, authenticateMs)
    return one
  }

  #setAuthenticated(one: Connection, authenticated: boolean): void {
    if (!this.#connections.has(one) || authenticated === one.authenticated) return
    // a client that has authenticated is none of those that the rate is for
    if (authenticated) one.of.tokens += 1
    else one.of.tokens -= 1
    this.#mark(one, !authenticated)
  }
}

/** From now on the server sees only the connections that the gate admits. Call it before the server listens. */
export function gateConnections(server: EventEmitter, gate: ConnectionGate): void {
  const accept = server.listeners('connection')
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    if (gate.admit(socket) !== null) for (const listener of accept) listener.call(server, socket)
  })
}
