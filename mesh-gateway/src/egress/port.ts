/**
 * The egress port, the proxy for the agents' outbound requests. Composes the parts of the plane, listens, and drains.
 * Refuses everything that the gates in admit.ts do not allow.
 */
import type { SecureContext } from 'node:tls'
import { type IdentityStore, type Log, silentLog } from '@clawmesh/agent-sdk/mesh'
import { type ErrorCode, MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import type { AuditLog } from '../audit/audit-record.ts'
import type { RequestSpans } from '../audit/request-spans.ts'
import { type ConnectionGate, createConnectionGate } from '../limits/connection-gate.ts'
import type { Limits } from '../limits/limits.ts'
import { createRefusalBudgets, type RefusalBudgets } from '../limits/refusal-budget.ts'
import { NO_ADDRESS } from '../net/client-address.ts'
import { listenOn } from '../net/listen.ts'
import type { ListenAddress, Port } from '../net/port.ts'
import type { PolicySnapshot } from '../policy/snapshot.ts'
import { codeOf } from '../process/error-code.ts'
import { createReadBuffers, type ReadBuffers } from '../process/node-internals/read-buffers.ts'
import { type MemoryWatch, type Serving, UNWATCHED_MEMORY } from '../process/watch-memory.ts'
import type { Resolver } from '../resolve/resolver.ts'
import { NO_REVOCATIONS, type Revocations } from '../revocation/revocations.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { createRefusalLog, type RefusalLog } from '../telemetry/refusal-log.ts'
import type { RevokeToken } from '../tokens/revoke-token.ts'
import type { VerifyingKeys } from '../tokens/verify-token.ts'
import type { VerifyToken } from './authenticate.ts'
import type { ConnectionContext } from './client/client-connection.ts'
import { createConnections } from './client/connections.ts'
import { createClientListener, type TicketKeys } from './client/listen-for-clients.ts'
import type { PortCertificate } from './client/port-certificate.ts'
import { createJudgedTunnels, type JudgedTunnels } from './live/judged-tunnels.ts'
import type { LiveTunnel } from './live/live-tunnel.ts'
import type { IssueForAccountKey } from './own-endpoints/token-request.ts'
import { followPolicy, type PolicyView } from './policy-view.ts'
import { shutdown } from './shutdown.ts'
import { DEFAULT_TIMEOUTS, type EgressTimeouts } from './timeouts.ts'
import { createUpstreamPool, type UpstreamPool } from './upstream/upstream-pool.ts'

export interface EgressPortOptions {
  readonly listen: ListenAddress
  /** With a certificate the port runs TLS. Default none. */
  readonly certificate?: Pick<PortCertificate, 'current' | 'onChange'> | null
  /** Shared with the other processes of the same port. Default none. */
  readonly ticketKeys?: TicketKeys | null
  readonly policy: {
    current(): PolicySnapshot
    onChange(listener: (snapshot: PolicySnapshot) => void): () => void
  }
  /** `iss` of the gateway's own tokens. */
  readonly issuer: string
  /** Verified claims, synchronously or as a promise. @throws MeshError MESH_TOKEN_* */
  readonly verifyToken: VerifyToken
  /** True when the token's verification is cached. Default: never. */
  readonly remembersToken?: (token: string) => boolean
  readonly spiffe: SpiffeTemplate
  /** The public keys, in the form of GET /.well-known/jwks.json. */
  readonly jwks: () => object
  /** Null: there are no service accounts, and POST /v1/token is not found. */
  readonly issueForAccountKey: IssueForAccountKey | null
  /** Default null: nothing can be revoked here, and POST /v1/token/revoke is not found. */
  readonly revokeToken?: RevokeToken | null
  /** Revoked tokens, agents and chains. Default: none. */
  readonly revocations?: Revocations
  /**
   * The trust bundle to which the certificates behind exchanged tokens must lead. Default: they are not checked against
   * a bundle.
   */
  readonly identity?: Pick<IdentityStore, 'current' | 'onChange'>
  /** The keys by which tokens verify now. Default: any key. */
  readonly keys?: VerifyingKeys
  /** The trusted roots, for TLS connections that the gateway makes. */
  readonly trust: () => SecureContext
  readonly resolver: Resolver
  readonly limits: Limits
  /** Counts agents and addresses that are refused repeatedly. Default: for this port alone. */
  readonly refusals?: RefusalBudgets
  readonly audit: AuditLog
  /** Exports a span for each request. Default: none is exported. */
  readonly spans?: RequestSpans | null
  readonly metrics: Metrics
  /** All listeners of this gateway: none can be reached through it. Its own may be omitted. */
  readonly ownAddresses: () => readonly ListenAddress[]
  readonly isReady: () => boolean
  /** The names by which origin form means the gateway itself. Default `localhost`. */
  readonly ownNames?: readonly string[]
  readonly log?: Log
  readonly timeouts?: Partial<EgressTimeouts>
  /** The addresses of proxies that name their clients by a PROXY header, as CIDR ranges. Default: no connection has one. */
  readonly proxiesFrom?: readonly string[]
  /** Maximum client connections; over it one without a valid token is closed, else the new one. Default 20,000. */
  readonly maxConnections?: number
  /** The same from one IPv4 address, or one /64 of IPv6. Default 20,000: clients behind one address share it. */
  readonly maxConnectionsPerAddress?: number
  /** The same without a valid token. Default 1,000. */
  readonly maxUnauthenticatedPerAddress?: number
  /** New ones per second from one address without a valid token; the burst is twice that. Default 1,000. */
  readonly newConnectionsPerSecond?: number
  /** Maximum connections to one host and port, over all agents. Default 10,000. */
  readonly maxConnectionsPerDestination?: number
  /** Maximum connections to destinations, per agent. Default 10,000. */
  readonly maxConnectionsPerAgent?: number
  /** Refuses new work while the process has too little memory. Default: never. */
  readonly memory?: Pick<MemoryWatch, 'overloaded' | 'exhausted'>
  /** Default false: lost records are counted as dropped. */
  readonly refuseWithoutAudit?: boolean
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number
}

export interface EgressPort extends Port {
  /** Ends open tunnels with the code that `judge` returns; returns how many. For revocation. */
  endTunnels(judge: (tunnel: LiveTunnel) => ErrorCode | null): number
  /** Open tunnels, and requests that wait for their answer. @param most how many records */
  readonly open: JudgedTunnels['tunnels']['open']
}

/** @throws MeshError MESH_CONFIG_PORT */
export async function createEgressPort(options: EgressPortOptions): Promise<EgressPort> {
  const { policy, identity, keys, limits, metrics, listen, log = silentLog } = options
  const { certificate = null, ticketKeys = null, now = Date.now } = options
  const { revocations = NO_REVOCATIONS } = options
  const timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts }
  let draining = false
  let address = listen

  const ownAddresses = () => [...options.ownAddresses(), address]
  const view = followPolicy(policy)
  const judged = createJudgedTunnels({
    ...{ policy, view, revocations, identity, keys, ownAddresses, limits, metrics, now },
  })
  const buffers = createReadBuffers()
  const pool = createPool(options, timeouts, buffers)
  const parts = { view, judged, pool, timeouts, log, ownAddresses, draining: () => draining }
  const connections = createConnections(contextOf(options, parts))
  const refused = createRefusalLog({ port: 'egress', metrics, log })
  const gate = createGate(options, refused)
  const listener = createClientListener({
    ...{ certificate, buffers, ticketKeys, handshakeMs: timeouts.headerMs, gate, refused },
    proxiesFrom: options.proxiesFrom ?? [],
    onClient: (client) => connections.serve(client),
  })
  const { server } = listener
  const release = () => {
    judged.close()
    listener.release()
    pool.close()
  }
  try {
    address = await listenOn(server, listen, 'egress.listen')
  } catch (cause) {
    release()
    throw cause
  }
  // today's Node reports no failed accept; if a later one does, the port must survive it:
  // docs/discoveries/accept-fails-in-silence.md
  server.on('error', (err) => refused('accept', { client: NO_ADDRESS, detail: codeOf(err) }))

  const { tunnels } = judged
  const { drain, close } = shutdown({ listener, connections, tunnels, release })
  return {
    address,
    endTunnels: (judge) => tunnels.endWhere(judge),
    open: (most) => tunnels.open(most),
    drain(graceMs) {
      draining = true
      return drain(graceMs)
    },
    close() {
      draining = true
      return close()
    },
  }
}

function createPool(
  options: EgressPortOptions,
  { dialMs, upstreamIdleMs }: EgressTimeouts,
  buffers: ReadBuffers,
): UpstreamPool {
  const { metrics, trust } = options
  return createUpstreamPool({
    ...{ buffers, dialMs, trust, idleMs: upstreamIdleMs, maxIdle: 1024, maxIdlePerKey: 64 },
    maxPerDestination: options.maxConnectionsPerDestination ?? 10_000,
    maxPerAgent: options.maxConnectionsPerAgent ?? 10_000,
    onDial: (seconds) => metrics.dial('egress', seconds),
    onRefused: (reason) => metrics.connectionRefused('egress', reason),
  })
}

/** The parts of the port that its requests use. */
interface Parts {
  readonly view: () => PolicyView
  readonly judged: JudgedTunnels
  readonly pool: UpstreamPool
  readonly timeouts: EgressTimeouts
  readonly log: Log
  readonly ownAddresses: () => readonly ListenAddress[]
  readonly draining: () => boolean
}

function contextOf(options: EgressPortOptions, parts: Parts): ConnectionContext {
  const { issuer, limits, audit, metrics, resolver, verifyToken, jwks, isReady, spiffe } = options
  const { issueForAccountKey, revokeToken = null, refuseWithoutAudit = false } = options
  const { ownNames = ['localhost'], refusals = createRefusalBudgets() } = options
  const { remembersToken = () => false, memory = UNWATCHED_MEMORY } = options
  const { spans = null } = options
  const serving: Serving = { count: 0 }
  const { judged, pool, timeouts, log, ownAddresses, draining, view } = parts
  const { tunnels, bundle, standing } = judged
  return {
    issuer,
    limits,
    audit,
    spans,
    metrics,
    log,
    resolver,
    pool,
    timeouts,
    tunnels,
    bundle,
    standing,
    policy: view,
    verifyToken,
    remembersToken,
    refusals,
    issueForAccountKey,
    revokeToken,
    refuseWithoutAudit,
    certificate: null,
    jwks,
    isReady,
    draining,
    overloaded: memory.overloaded,
    serving,
    ownAddresses,
    ownNames: new Set(ownNames.map((name) => name.toLowerCase())),
    parseAgent: (id) => {
      const identity = spiffe.parse(id)
      if (identity?.kind === 'agent') return identity
      throw new MeshError('MESH_TOKEN_MALFORMED')
    },
    judgeAgain: (tunnel) => judged.judgeAgain(tunnel),
  }
}

function createGate(options: EgressPortOptions, refused: RefusalLog): ConnectionGate {
  return createConnectionGate({
    limits: {
      maxConnections: options.maxConnections ?? 20_000,
      maxConnectionsPerAddress: options.maxConnectionsPerAddress ?? 20_000,
      // no limit: they are evicted first
      maxUnauthenticated: Number.POSITIVE_INFINITY,
      maxUnauthenticatedPerAddress: options.maxUnauthenticatedPerAddress ?? 1_000,
      newConnectionsPerSecond: options.newConnectionsPerSecond ?? 1_000,
      authenticateMs: null,
      minEvictionAgeMs: 0,
    },
    refused,
    unixSocket: options.listen.path !== undefined,
    ...(options.memory === undefined ? {} : { exhausted: options.memory.exhausted }),
  })
}
