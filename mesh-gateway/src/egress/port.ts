/**
 * The egress port, the proxy for the agents' outbound requests. Listens, gives each connection its context, applies
 * policy changes to open tunnels, and drains. Refuses everything that the gates in admit.ts do not allow.
 */
import type { SecureContext } from 'node:tls'
import { type IdentityStore, type Log, silentLog } from '@clawmesh/agent-sdk/mesh'
import { type ErrorCode, MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import type { AuditLog } from '../audit/audit-record.ts'
import { createConnectionGate } from '../limits/connection-gate.ts'
import type { Limits } from '../limits/limits.ts'
import { createRefusalBudgets, type RefusalBudgets } from '../limits/refusal-budget.ts'
import { createDenseSet, type Member } from '../live/dense-set.ts'
import { judgeAdmitted, type SigningKeys, type Standing } from '../live/judge.ts'
import { createTrust } from '../live/trust.ts'
import { NO_ADDRESS } from '../net/client-address.ts'
import { listenOn } from '../net/listen.ts'
import type { ListenAddress, Port } from '../net/port.ts'
import type { PolicySnapshot } from '../policy/snapshot.ts'
import { codeOf } from '../process/error-code.ts'
import { createReadBuffers } from '../process/node-internals/read-buffers.ts'
import type { Resolver } from '../resolve/resolver.ts'
import { NO_REVOCATIONS, type Revocations } from '../revocation/revocations.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { createRefusalLog } from '../telemetry/refusal-log.ts'
import type { RevokeToken } from '../tokens/revoke-token.ts'
import type { VerifyingKeys } from '../tokens/verify-token.ts'
import type { VerifyToken } from './authenticate.ts'
import { type ClientConnection, serveConnection } from './client/client-connection.ts'
import { createClientListener, type TicketKeys } from './client/listen-for-clients.ts'
import type { PortCertificate } from './client/port-certificate.ts'
import type { EgressContext, EgressTimeouts, IssueForAccountKey } from './context.ts'
import { faultInWords } from './live/fault-in-words.ts'
import type { LiveTunnel } from './live/live-tunnel.ts'
import { createTunnels } from './live/live-tunnels.ts'
import { decideAgain, followPolicy } from './policy-view.ts'
import { createUpstreamPool } from './upstream/upstream-pool.ts'

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
  readonly metrics: Metrics
  /** All listeners of this gateway: none can be reached through it. Its own may be omitted. */
  readonly ownAddresses: () => readonly ListenAddress[]
  readonly isReady: () => boolean
  /** The names by which origin form means the gateway itself. Default `localhost`. */
  readonly ownNames?: readonly string[]
  readonly log?: Log
  readonly timeouts?: Partial<EgressTimeouts>
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
  /** Default false: lost records are counted as dropped. */
  readonly refuseWithoutAudit?: boolean
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number
}

export interface EgressPort extends Port {
  /** Ends open tunnels with the code that `judge` returns; returns how many. For revocation. */
  endTunnels(judge: (tunnel: LiveTunnel) => ErrorCode | null): number
}

const TIMEOUTS: EgressTimeouts = Object.freeze({
  headerMs: 10_000,
  keepAliveMs: 60_000,
  unauthenticatedKeepAliveMs: 5_000,
  dialMs: 10_000,
  helloMs: 10_000,
  idleMs: 300_000,
  answerMs: 900_000,
  upstreamIdleMs: 4_000,
})

const ALL_KEYS: SigningKeys = Object.freeze({ verifies: () => true })

/** @throws MeshError MESH_CONFIG_PORT */
export async function createEgressPort(options: EgressPortOptions): Promise<EgressPort> {
  const timeouts = { ...TIMEOUTS, ...options.timeouts }
  const policy = followPolicy(options.policy)
  const tunnels = createTunnels({
    now: options.now ?? Date.now,
    boundsOf: (agent) => policy().bounds(agent),
    judge: (tunnel, judgedBy) => judgeLive(tunnel, judgedBy),
    generation: () => policy().generation,
    limits: options.limits,
    onCut: (code) => options.metrics.cut('egress', code),
  })
  const buffers = createReadBuffers()
  const pool = createUpstreamPool({
    buffers,
    dialMs: timeouts.dialMs,
    idleMs: timeouts.upstreamIdleMs,
    maxIdle: 1024,
    maxIdlePerKey: 64,
    maxPerDestination: options.maxConnectionsPerDestination ?? 10_000,
    maxPerAgent: options.maxConnectionsPerAgent ?? 10_000,
    trust: options.trust,
    onDial: (seconds) => options.metrics.dial('egress', seconds),
    onRefused: (reason) => options.metrics.connectionRefused('egress', reason),
  })
  const connections = createDenseSet<Member & { readonly connection: ClientConnection }>()
  const { revocations = NO_REVOCATIONS } = options
  let draining = false
  let address = options.listen
  const ownAddresses = () => [...options.ownAddresses(), address]
  const bundle = createTrust(options.identity ?? null)
  const { keys = ALL_KEYS, now = Date.now } = options
  const standing: Standing = {
    ...{ trust: bundle, revocations, keys },
    get nowMs() {
      return now()
    },
  }
  const judgeLive = (tunnel: Omit<LiveTunnel, 'end'>, judgedBy: number): ErrorCode | null => {
    const view = policy()
    const decide = view.generation === judgedBy ? null : decideAgain(view, tunnel.ip, ownAddresses)
    const fault = judgeAdmitted(tunnel.admitted, standing, decide)
    return fault === null ? null : faultInWords(fault).code
  }
  const context: EgressContext = {
    issuer: options.issuer,
    ownNames: new Set((options.ownNames ?? ['localhost']).map((name) => name.toLowerCase())),
    timeouts,
    limits: options.limits,
    audit: options.audit,
    metrics: options.metrics,
    log: options.log ?? silentLog,
    resolver: options.resolver,
    pool,
    tunnels,
    verifyToken: options.verifyToken,
    remembersToken: options.remembersToken ?? (() => false),
    refusals: options.refusals ?? createRefusalBudgets(),
    parseAgent: (id) => {
      const identity = options.spiffe.parse(id)
      if (identity?.kind === 'agent') return identity
      throw new MeshError('MESH_TOKEN_MALFORMED')
    },
    issueForAccountKey: options.issueForAccountKey,
    revokeToken: options.revokeToken ?? null,
    ...{ bundle, standing },
    certificate: null,
    policy,
    trust: options.trust,
    judgeAgain(tunnel) {
      // it was admitted under a policy with higher limits, or while open tunnels were still being recounted
      if (!tunnel.counted || policy().generation !== tunnel.generation) tunnels.trimSoon()
      return judgeLive(tunnel, tunnel.generation)
    },
    jwks: options.jwks,
    ownAddresses,
    isReady: options.isReady,
    draining: () => draining,
    refuseWithoutAudit: options.refuseWithoutAudit ?? false,
  }
  const refused = createRefusalLog({ port: 'egress', metrics: options.metrics, log: context.log })
  const { maxConnections = 20_000 } = options
  const gate = createConnectionGate({
    limits: {
      maxConnections,
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
  })
  const listener = createClientListener({
    certificate: options.certificate ?? null,
    buffers,
    ticketKeys: options.ticketKeys ?? null,
    handshakeMs: timeouts.headerMs,
    gate,
    refused,
    onClient(client) {
      // its handshake ended after the start of the drain
      if (draining) {
        client.wire.destroy()
        return
      }
      const connection = serveConnection(client, context)
      const entry = { connection, index: -1 }
      connections.add(entry)
      client.wire.socket.on('close', () => connections.remove(entry))
    },
  })
  const { server } = listener
  address = await listenOn(server, options.listen, 'egress.listen')
  // today's Node reports no failed accept; if a later one does, the port must survive it:
  // docs/discoveries/accept-fails-in-silence.md
  server.on('error', (err) => {
    refused('accept', { client: NO_ADDRESS, detail: codeOf(err) })
  })
  const unfollow = options.policy.onChange(() => tunnels.judgeAndTrim())
  const unheed = [revocations, options.keys, options.identity].map((what) =>
    what?.onChange(() => tunnels.judge()),
  )

  const closeIdle = () => {
    connections.visit(({ connection }) => {
      if (connection.idle) connection.closeIdle()
    })
  }
  const close = async () => {
    draining = true
    unfollow()
    for (const end of unheed) end?.()
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    tunnels.endWhere(() => 'MESH_GATEWAY_DRAINING')
    connections.visit(({ connection }) => connection.destroy())
    listener.destroyAll()
    listener.release()
    pool.close()
    await closed
  }
  return {
    address,
    endTunnels: (judge) => tunnels.endWhere(judge),
    async drain(graceMs) {
      draining = true
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      closeIdle()
      const timer = setTimeout(() => void close(), graceMs)
      await closed
      clearTimeout(timer)
      await close()
    },
    close,
  }
}
