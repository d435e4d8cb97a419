/** Guards the delegation port against its clients: limits on connections, and on the behaviour of each connection. */
import type { EventEmitter } from 'node:events'
import type { ServerHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Log } from '@clawmesh/agent-sdk/mesh'
import type { GuardLimits } from '../../config/guard-limits.ts'
import { createConnectionGate, gateConnections } from '../../limits/connection-gate.ts'
import { createLimits } from '../../limits/create-limits.ts'
import { type ClientAddress, NO_ADDRESS } from '../../net/client-address.ts'
import { proxiesOf } from '../../net/proxy-protocol/proxy-receiver.ts'
import { codeOf } from '../../process/error-code.ts'
import type { MemoryWatch } from '../../process/watch-memory.ts'
import type { Metrics } from '../../telemetry/metrics-port.ts'
import { createRefusalLog, type RefusalLog } from '../../telemetry/refusal-log.ts'
import { type Backlog, createBacklog } from '../carry/backlog.ts'
import type { Client } from './authenticate.ts'
import { createSessionGuard, type SessionGuard } from './session-guard.ts'

export interface Guard {
  /** Watches the server's connections. To be called before the server listens. */
  stand(server: EventEmitter): void
  /**
   * Null when the connection has been cut because the agent has too many.
   * @param endCalls ends the calls of a connection that has reached its maximum age
   */
  watch(session: ServerHttp2Session, client: Client, endCalls: () => void): SessionGuard | null
  /**
   * Counts a connection of HTTP/1.1 with its agent. False when it has been cut because the agent has too many. Without a
   * valid certificate it stays unauthenticated, and ends when its time is up.
   */
  watchHttp1(socket: TLSSocket, client: Client): boolean
  /** The address of the client of a connection. */
  addressOf(socket: TLSSocket): ClientAddress
  /** Counts a request of HTTP/1.1 that wants another protocol. */
  countHttp1(socket: Socket): void
  /** Closes all unauthenticated connections, and those whose proxy has not named the client yet. */
  dismissStrangers(): void
  /** Closes all connections, without waiting for unsent data. */
  endAll(): void
  readonly backlog: Backlog
  close(): void
}

export interface GuardOptions {
  readonly limits: GuardLimits
  readonly windowBytes: number
  /** The addresses of proxies that name their clients, as CIDR ranges. */
  readonly proxiesFrom: readonly string[]
  readonly metrics: Pick<Metrics, 'connectionRefused'>
  readonly log: Log
  readonly memory: Pick<MemoryWatch, 'exhausted'>
}

const TICK_MS = 1_000
/** A younger connection may still be in its handshake when many clients connect at once: it is not evicted. */
const HANDSHAKE_MS = 1_000

export function createGuard(options: GuardOptions): Guard {
  const { limits, windowBytes, metrics, log, memory } = options
  const refused = createRefusalLog({ port: 'delegation', metrics, log })
  const proxies = proxiesOf(options.proxiesFrom, { headerMs: limits.handshakeMs, refused })
  const gate = createConnectionGate({
    limits: {
      ...limits,
      maxUnauthenticated: limits.maxHandshakes,
      maxUnauthenticatedPerAddress: limits.maxHandshakesPerAddress,
      authenticateMs: limits.handshakeMs,
      minEvictionAgeMs: HANDSHAKE_MS,
    },
    refused,
    exhausted: memory.exhausted,
  })
  const counting = { agents: createLimits(), limits, refused }
  const backlog = createBacklog(limits.bufferedBytes, windowBytes)
  const guards = new Set<SessionGuard>()
  const tick = setInterval(() => {
    const nowMs = performance.now()
    for (const one of guards) one.tick(nowMs)
    backlog.sweep()
  }, TICK_MS)
  tick.unref()

  return {
    stand(server) {
      gateConnections(server, gate, proxies)
      server.on('tlsClientError', (err, socket: TLSSocket) => {
        refused('tls', { client: gate.addressOf(socket), detail: codeOf(err) })
      })
      // too many open files end one connection, never the process; before the server listens, an error is about
      // listening, and its starter reports it
      server.once('listening', () => {
        server.on('error', (err) => refused('accept', { client: NO_ADDRESS, detail: codeOf(err) }))
      })
    },
    watch(session, client, endCalls) {
      if (!enterAgent(client, session, counting)) return null
      const agent = client.peer?.identity.id ?? null
      const { address } = client
      const { socket } = session
      const guard = createSessionGuard({
        session,
        limits,
        windowBytes,
        meter: client.meter,
        onCut: (reason) => refused(reason, { client: address, agent }),
        endCalls,
        nowMs: performance.now(),
      })
      guards.add(guard)
      session.once('close', () => guards.delete(guard))
      session.on('error', (err) => {
        // counts connections that Node's own limits end; a lost connection counts against no client
        if (codeOf(err).startsWith('ERR_HTTP2_'))
          refused('protocol', { client: address, agent, detail: codeOf(err) })
        else log.debug({ err }, 'a connection ended with an error')
      })
      // an unauthenticated connection stays so, and ends when its time is up
      if (agent !== null)
        session.once('remoteSettings', () => gate.of(socket)?.setAuthenticated(true))
      return guard
    },
    watchHttp1(socket, client) {
      if (!enterAgent(client, socket, counting)) return false
      if (client.peer !== null) gate.of(socket)?.setAuthenticated(true)
      return true
    },
    addressOf: (socket) => gate.addressOf(socket),
    countHttp1: (socket) => refused('not-http2', { client: gate.addressOf(socket) }),
    backlog,
    endAll: () => gate.closeAll(),
    dismissStrangers() {
      proxies?.closeWaiting()
      gate.closeUnauthenticated()
    },
    close: () => clearInterval(tick),
  }
}

interface Counting {
  readonly agents: ReturnType<typeof createLimits>
  readonly limits: Pick<GuardLimits, 'maxConnectionsPerAgent'>
  readonly refused: RefusalLog
}

/** Counts a connection with its agent until it closes. False when it has been cut because the agent has too many. */
function enterAgent(
  { peer, address }: Client,
  connection: { once(event: 'close', listener: () => void): unknown; destroy(): unknown },
  { agents, limits, refused }: Counting,
): boolean {
  if (peer === null) return true
  const agent = peer.identity.id
  const release = agents.enter(agent, limits.maxConnectionsPerAgent)
  if (release !== null) {
    connection.once('close', release)
    return true
  }
  refused('connections-per-agent', { client: address, agent })
  connection.destroy()
  return false
}
