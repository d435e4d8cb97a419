/**
 * Who may connect at all, decided before a byte of TLS is read: how many are open, from one address, of one agent, and
 * how many have yet to say who they are. That has an end by the clock, not by silence: a byte now and then is no excuse.
 */
import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { type ClientAddress, clientAddressOf } from '../../net/client-address.ts'
import type { RefusalLog } from '../../telemetry/refusal-log.ts'
import type { GuardLimits } from './guard-limits.ts'

export interface ConnectionGate {
  /** False when the socket has been closed instead. */
  admit(socket: Socket): boolean
  /** Of a connection over TLS, also when it has closed. */
  clientOf(socket: TLSSocket): ClientAddress
  /** The connection has shown a good certificate and its settings: it is no stranger any more. */
  greeted(end: Endpoint): void
  /** Counts a connection of the agent; null when it has too many. Returns what to call when it has gone. */
  enter(agent: string): (() => void) | null
  /** Closes the connections of all who have not said who they are. */
  close(): void
  /** Closes all connections, whatever they still have to send. */
  endAll(): void
}

/** What names a connection, before and after TLS. */
export interface Endpoint {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
}

interface Stranger {
  readonly socket: Socket
  readonly timer: NodeJS.Timeout
  readonly from: Presence
}

interface Presence {
  open: number
  strangers: number
}

export function createConnectionGate(limits: GuardLimits, refused: RefusalLog): ConnectionGate {
  const addresses = new Map<string, Presence>()
  const sockets = new Set<Socket>()
  const strangers = new Map<string, Stranger>()
  const agents = new Map<string, number>()
  const clients = new WeakMap<object, ClientAddress>()

  function settle(key: string): void {
    const stranger = strangers.get(key)
    if (stranger === undefined) return
    strangers.delete(key)
    clearTimeout(stranger.timer)
    stranger.from.strangers -= 1
  }

  return {
    admit(socket) {
      const address = socket.remoteAddress
      const client = clientAddressOf(socket)
      clients.set(socket, client)
      const from = addresses.get(address ?? '') ?? { open: 0, strangers: 0 }
      const reason =
        sockets.size >= limits.maxConnections
          ? 'connections'
          : from.open >= limits.maxConnectionsPerAddress
            ? 'connections-per-address'
            : strangers.size >= limits.maxHandshakes ||
                from.strangers >= limits.maxHandshakesPerAddress
              ? 'handshakes'
              : null
      if (reason !== null || address === undefined) {
        if (reason !== null) refused(reason, { client })
        socket.on('error', () => {})
        // a reset: a goodbye would leave the socket to us for another minute
        socket.resetAndDestroy()
        return false
      }
      const key = keyOf(socket)
      addresses.set(address, from)
      sockets.add(socket)
      from.open += 1
      from.strangers += 1
      const timer = setTimeout(() => {
        refused('handshake-timeout', { client })
        socket.destroy()
      }, limits.handshakeMs)
      strangers.set(key, { socket, timer, from })
      socket.once('close', () => {
        settle(key)
        sockets.delete(socket)
        from.open -= 1
        if (from.open === 0 && addresses.get(address) === from) addresses.delete(address)
      })
      return true
    },
    clientOf(socket) {
      // Node keeps what a TLS socket was made of there; a socket that has closed does not know its address any more
      const below: unknown = Reflect.get(socket, '_parent')
      const known = typeof below === 'object' && below !== null ? clients.get(below) : undefined
      return known ?? clientAddressOf(socket)
    },
    close() {
      for (const { socket } of strangers.values()) socket.destroy()
    },
    endAll() {
      for (const socket of sockets) socket.destroy()
    },
    greeted: (end) => settle(keyOf(end)),
    enter(agent) {
      const count = agents.get(agent) ?? 0
      if (count >= limits.maxConnectionsPerAgent) return null
      agents.set(agent, count + 1)
      return () => {
        const left = (agents.get(agent) ?? 1) - 1
        if (left === 0) agents.delete(agent)
        else agents.set(agent, left)
      }
    },
  }
}

/** From now on the server sees only the connections that the gate admits. Call it before the server listens. */
export function gateConnections(server: EventEmitter, gate: ConnectionGate): void {
  const accept = server.listeners('connection')
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    if (gate.admit(socket)) for (const listener of accept) listener.call(server, socket)
  })
}

function keyOf({ remoteAddress, remotePort }: Endpoint): string {
  return `${remoteAddress} ${remotePort}`
}
