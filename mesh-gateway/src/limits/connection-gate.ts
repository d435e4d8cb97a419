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
  const { limits, refused, unixSocket = false, now = () => performance.now() } = options
  const sources = new Map<string, Source>()
  const connections = new Set<Connection>()
  const bySocket = new WeakMap<object, Connection>()
  const ranking = new LargestSource<Source>()
  let unauthenticated = 0
  let sweepAt = SWEEP_AT

  function findSource(key: string): Source {
    const burst = limits.newConnectionsPerSecond * BURST
    const atMs = now()
    const known = sources.get(key)
    if (known !== undefined) {
      known.tokens = refilled(known, atMs)
      known.atMs = atMs
      return known
    }
    if (sources.size >= sweepAt) sweep(atMs)
    const fresh = { key, open: 0, unauthenticated: new Set<Connection>(), tokens: burst, atMs }
    sources.set(key, fresh)
    return fresh
  }

  function refilled({ tokens, atMs }: Source, nowMs: number): number {
    const { newConnectionsPerSecond: rate } = limits
    return Math.min(rate * BURST, tokens + ((nowMs - atMs) * rate) / 1000)
  }

  /** A source without connections and with a full bucket says nothing that a new one would not. */
  function sweep(nowMs: number): void {
    for (const [key, source] of sources)
      if (source.open === 0 && refilled(source, nowMs) >= limits.newConnectionsPerSecond * BURST)
        sources.delete(key)
    sweepAt = Math.max(SWEEP_AT, sources.size * 2)
  }

  function mark(one: Connection, isUnauthenticated: boolean): void {
    const set = one.of.unauthenticated
    const before = set.size
    if (isUnauthenticated) set.add(one)
    else set.delete(one)
    if (set.size === before) return
    unauthenticated += set.size - before
    ranking.changed(one.of, before, set.size)
    if (isUnauthenticated || one.timer === null) return
    clearTimeout(one.timer)
    one.timer = null
  }

  function forget(one: Connection): void {
    if (!connections.delete(one)) return
    mark(one, false)
    one.of.open -= 1
  }

  /** Closes an unauthenticated connection of the source, or of the largest. False when there is none. */
  function makeRoom(from: Source | null, reason: ConnectionRefusal): boolean {
    const [victim] = from?.unauthenticated ?? []
    if (victim === undefined || now() - victim.since < limits.minEvictionAgeMs) return false
    forget(victim)
    refused(reason, { client: victim })
    closeAtOnce(victim.socket)
    return true
  }

  /** A reset: an orderly end would leave the socket to us for another minute. */
  function closeAtOnce(socket: Socket): void {
    if (unixSocket) socket.destroy()
    else socket.resetAndDestroy()
  }

  /** Why it may not come in, after room was made where it can be. */
  function refusalOf(source: Source): ConnectionRefusal | null {
    const bounded = source.key !== ''
    // first of all: none is closed for one that does not come in
    if (bounded && source.tokens < 1) return 'connection-rate'
    if (bounded && source.open >= limits.maxConnectionsPerAddress)
      if (!makeRoom(source, 'connections-per-address')) return 'connections-per-address'
    if (bounded && source.unauthenticated.size >= limits.maxUnauthenticatedPerAddress)
      if (!makeRoom(source, 'handshakes')) return 'handshakes'
    if (unauthenticated >= limits.maxUnauthenticated)
      if (!makeRoom(ranking.largest(), 'handshakes')) return 'handshakes'
    if (connections.size >= limits.maxConnections)
      if (!makeRoom(ranking.largest(), 'connections')) return 'connections'
    return null
  }

  function connectionOf(socket: Socket, client: ClientAddress, source: Source): Connection {
    const one: Connection = {
      ...client,
      source: source.key,
      socket,
      of: source,
      since: now(),
      timer: null,
      get authenticated() {
        return !source.unauthenticated.has(one)
      },
      setAuthenticated(authenticated) {
        if (!connections.has(one) || authenticated === one.authenticated) return
        // a client that has authenticated is none of those that the rate is for
        if (authenticated) source.tokens += 1
        else source.tokens -= 1
        mark(one, !authenticated)
      },
    }
    if (limits.authenticateMs !== null)
      one.timer = setTimeout(() => {
        refused('handshake-timeout', { client: one })
        socket.destroy()
      }, limits.authenticateMs)
    return one
  }

  function find(socket: object): Connection | null {
    // Node keeps the socket that a TLS socket was made of there
    const below: unknown = Reflect.get(socket, '_parent')
    const known = typeof below === 'object' && below !== null ? bySocket.get(below) : undefined
    return known ?? bySocket.get(socket) ?? null
  }

  return {
    admit(socket) {
      const client = clientAddressOf(socket)
      if (client.ip === null && !unixSocket) {
        // it has gone already
        socket.on('error', () => {})
        socket.destroy()
        return null
      }
      const source = findSource(sourceOf(client.ip))
      const reason = refusalOf(source)
      if (reason !== null) {
        refused(reason, { client })
        socket.on('error', () => {})
        closeAtOnce(socket)
        return null
      }
      const one = connectionOf(socket, client, source)
      source.tokens -= 1
      source.open += 1
      connections.add(one)
      bySocket.set(socket, one)
      mark(one, true)
      socket.once('close', () => forget(one))
      return one
    },
    of: find,
    addressOf: (socket) => find(socket) ?? NO_ADDRESS,
    closeUnauthenticated() {
      for (const one of [...connections]) if (!one.authenticated) one.socket.destroy()
    },
    closeAll() {
      for (const { socket } of [...connections]) socket.destroy()
    },
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
