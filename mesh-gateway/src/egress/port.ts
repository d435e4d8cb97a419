/**
 * The egress port: agents' way out. Listens, hands each connection its context, follows policy for what is open, and drains.
 * Everything is refused that is not allowed by the gates in admit.ts.
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
  /** With it the port runs TLS. Default none. */
  readonly certificate?: Pick<PortCertificate, 'current' | 'onChange'> | null
  /** Shared with other processes at the same port. Default none. */
  readonly ticketKeys?: TicketKeys | null
  readonly policy: {
    current(): PolicySnapshot
    onChange(listener: (snapshot: PolicySnapshot) => void): () => void
  }
  /** `iss` of the gateway's own tokens. */
  readonly issuer: string
  /** Verified claims, at once or later. @throws MeshError MESH_TOKEN_* */
  readonly verifyToken: VerifyToken
  /** Whether it was verified lately. Default: none was. */
  readonly remembersToken?: (token: string) => boolean
  readonly spiffe: SpiffeTemplate
  /** The public keys, as GET /.well-known/jwks.json shows them. */
  readonly jwks: () => object
  /** Null: there are no service accounts, and POST /v1/token is not found. */
  readonly issueForAccountKey: IssueForAccountKey | null
  /** Null, and by default: nothing can be revoked here, and POST /v1/token/revoke is not found. */
  readonly revokeToken?: RevokeToken | null
  /** Which tokens, agents and chains are heard no more. Default: all are. */
  readonly revocations?: Revocations
  /** The trust bundle, which certificates that tokens were exchanged for must lead to. Default none: they are not judged by it. */
  readonly identity?: Pick<IdentityStore, 'current' | 'onChange'>
  /** By which keys tokens verify now. Default: by any. */
  readonly keys?: VerifyingKeys
  /** Whose certificates are believed where the gateway makes the TLS connection itself. */
  readonly trust: () => SecureContext
  readonly resolver: Resolver
  readonly limits: Limits
  /** Of agents and addresses that are refused again and again. Default: of this port alone. */
  readonly refusals?: RefusalBudgets
  readonly audit: AuditLog
  readonly metrics: Metrics
  /** All listeners of this gateway: none can be reached through it. Its own need not be among them. */
  readonly ownAddresses: () => readonly ListenAddress[]
  readonly isReady: () => boolean
  /** Names under which origin form means the gateway itself. Default `localhost`. */
  readonly ownNames?: readonly string[]
  readonly log?: Log
  readonly timeouts?: Partial<EgressTimeouts>
  /** Connections of clients at once; beyond it one without a good token is closed, else the new one. Default 20,000. */
  readonly maxConnections?: number
  /** Of them from one IPv4 address, or one /64 of IPv6. Default 20,000: clients behind one address share it. */
  readonly maxConnectionsPerAddress?: number
  /** Of these that have not shown a good token. Default 1,000. */
  readonly maxUnauthenticatedPerAddress?: number
  /** New ones from one address that show no good token, twice that in a burst. Default 1,000. */
  readonly newConnectionsPerSecond?: number
  /** Connections to one host and port at once, of all agents. Default 10,000. */
  readonly maxConnectionsPerDestination?: number
  /** Connections to destinations at once, of one agent. Default 10,000. */
  readonly maxConnectionsPerAgent?: number
  /** Default false: what cannot be recorded is counted as dropped. */
  readonly refuseWithoutAudit?: boolean
  /** The clock, milliseconds since the epoch. Default the system's. */
  readonly now?: () => number
}

export interface EgressPort extends Port {
  /** Ends tunnels that are open, with the code that `judge` gives; returns how many. For revocation. */
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
      // it was let through under a policy that may have allowed more at once, or while not all were counted by this one
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
      // all of them may be; they are the first to go
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
      // its handshake came to an end after the drain had begun
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
  // today's Node tells nobody when it cannot accept; should it again, the port must outlive that: docs/discoveries/accept-fails-in-silence.md
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
