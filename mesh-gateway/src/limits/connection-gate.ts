/**
 * Admits connections to a port, before any byte of them is read. A connection is unauthenticated until its port says
 * otherwise. There are bounds per source (an IPv4 address, an IPv6 /64) and for the port. A full port evicts an
 * unauthenticated connection to make room: the oldest of the source that has the most of them. Authenticated
 * connections are never evicted, and do not count against the rate of new connections.
 */
import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { type ClientAddress, clientAddressOf, NO_ADDRESS, sourceOf } from '../net/client-address.ts'
import { type ProxyReceiver, receivedBy } from '../net/proxy-protocol/proxy-receiver.ts'
import type { ConnectionRefusal } from '../telemetry/metrics-port.ts'
import type { RefusalLog } from '../telemetry/refusal-log.ts'
import { LargestSource } from './largest-source.ts'

export interface ConnectionGateLimits {
  readonly maxConnections: number
  readonly maxConnectionsPerAddress: number
  /** Maximum unauthenticated connections. */
  readonly maxUnauthenticated: number
  readonly maxUnauthenticatedPerAddress: number
  /** New connections per second from one address that do not authenticate; the burst is twice that. */
  readonly newConnectionsPerSecond: number
  /** Time to authenticate, from the first packet on, in milliseconds. Null: the port has its own timer. */
  readonly authenticateMs: number | null
  /**
   * A younger connection is not evicted, in milliseconds: where authentication takes time, clients that connect all at
   * once would evict each other.
   */
  readonly minEvictionAgeMs: number
}

export interface GatedClient extends ClientAddress {
  /** The key by which it is counted; empty over a Unix socket. */
  readonly source: string
  readonly authenticated: boolean
  /** An authenticated connection cannot be evicted. */
  setAuthenticated(authenticated: boolean): void
}

export interface ConnectionGate {
  /**
   * Null when the socket has been closed instead.
   * @param client default: by the address of the socket
   */
  admit(socket: Socket, client?: ClientAddress): GatedClient | null
  /** The client of an admitted socket, or of a TLS socket on one, also after it has closed. */
  of(socket: object): GatedClient | null
  /** The address of that client; no address for an unknown socket. */
  addressOf(socket: object): ClientAddress
  closeUnauthenticated(): void
  /** Closes all connections, without waiting for unsent data. */
  closeAll(): void
}

interface Source {
  readonly key: string
  open: number
  /** The oldest first. */
  readonly unauthenticated: Set<Connection>
  /** Of the token bucket for new connections. */
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
  /** Whether there is no memory for one more, with so many open. Default: never. */
  readonly exhausted?: (open: number) => boolean
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
  readonly #exhausted: (open: number) => boolean
  readonly #now: () => number
  readonly #sources = new Map<string, Source>()
  readonly #connections = new Set<Connection>()
  readonly #bySocket = new WeakMap<object, Connection>()
  readonly #ranking = new LargestSource<Source>()
  #unauthenticated = 0
  #sweepAt = SWEEP_AT

  constructor(options: ConnectionGateOptions) {
    const { limits, refused, unixSocket = false, now = () => performance.now() } = options
    this.#exhausted = options.exhausted ?? (() => false)
    this.#limits = limits
    this.#refused = refused
    this.#unixSocket = unixSocket
    this.#now = now
  }

  admit(socket: Socket, client = clientAddressOf(socket)): GatedClient | null {
    if (client.ip === null && !this.#unixSocket) {
      // it has closed already
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
    // Node keeps the socket below a TLS socket in this property
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

  /** Forgets sources without connections and with a full bucket: they equal a new source. */
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

  /** Evicts an unauthenticated connection of this source, or of the largest. False when there is none. */
  #makeRoom(from: Source | null, reason: ConnectionRefusal): boolean {
    const [victim] = from?.unauthenticated ?? []
    if (victim === undefined || this.#now() - victim.since < this.#limits.minEvictionAgeMs)
      return false
    this.#forget(victim)
    this.#refused(reason, { client: victim })
    this.#closeAtOnce(victim.socket)
    return true
  }

  /** Resets the connection: an orderly end would keep the socket for another minute. */
  #closeAtOnce(socket: Socket): void {
    if (this.#unixSocket) socket.destroy()
    else socket.resetAndDestroy()
  }

  /** The reason to refuse, after an attempt to make room. */
  #refusalOf(source: Source): ConnectionRefusal | null {
    const limits = this.#limits
    const bounded = source.key !== ''
    if (this.#exhausted(this.#connections.size)) return 'memory'
    // first of all: a refused connection must not evict another
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
    // the rate does not apply to authenticated clients
    if (authenticated) one.of.tokens += 1
    else one.of.tokens -= 1
    this.#mark(one, !authenticated)
  }
}

/**
 * From now on the server sees admitted connections only. To be called before the server listens.
 * @param proxies default none
 */
export function gateConnections(
  server: EventEmitter,
  gate: ConnectionGate,
  proxies: ProxyReceiver | null = null,
): void {
  const accept = server.listeners('connection')
  server.removeAllListeners('connection')
  const admit = (socket: Socket, client: ClientAddress) => {
    if (gate.admit(socket, client) !== null)
      for (const listener of accept) listener.call(server, socket)
  }
  server.on('connection', receivedBy(proxies, admit))
}
