/**
 * The delegation port: HTTP/2 over TLS 1.3 with client certificates; forwards any gRPC service. A connection without a
 * valid certificate gets the reason in its answers, then is closed.
 */
import {
  constants,
  createSecureServer,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { TLSSocket } from 'node:tls'
import {
  followIdentity,
  type IdentityStore,
  type Log,
  serverTlsOptions,
} from '@clawmesh/agent-sdk/mesh'
import { MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import type { AuditLog } from '../audit/audit-record.ts'
import { unauditable } from '../audit/unauditable.ts'
import { DEFAULT_GUARD_LIMITS, type GuardLimits } from '../config/guard-limits.ts'
import type { StaticPeers } from '../config/static-peers.ts'
import type { Limits } from '../limits/limits.ts'
import { createRefusalBudgets, type RefusalBudgets } from '../limits/refusal-budget.ts'
import { TCP_KEEP_ALIVE } from '../net/keep-alive.ts'
import { listenOn } from '../net/listen.ts'
import type { ListenAddress, Port } from '../net/port.ts'
import { concurrentStreams, type PolicySnapshot } from '../policy/snapshot.ts'
import { leanStreamTables } from '../process/node-internals/lean-stream-tables.ts'
import type { Resolver } from '../resolve/resolver.ts'
import { NO_REVOCATIONS, type Revocations } from '../revocation/revocations.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import type { VerifyingKeys } from '../tokens/verify-token.ts'
import { MAX_METADATA_BYTES } from './carry/peer-response.ts'
import { CONNECTION_WINDOW_BYTES, WINDOW_BYTES } from './carry/windows.ts'
import type { ChainGate } from './chain/chain-gate.ts'
import { authenticateClient, type Client } from './client/authenticate.ts'
import { gracefulGoaway } from './client/graceful-goaway.ts'
import { createGuard } from './client/guard.ts'
import { createOpenCalls } from './client/open-calls.ts'
import type { SessionGuard } from './client/session-guard.ts'
import { trimmedFields } from './field-values.ts'
import { createLiveCalls } from './live/live-calls.ts'
import { chooseProtocol } from './other-protocols/answer-http1.ts'
import { createRouteNames } from './own-names.ts'
import { addGatewayServices } from './own-services/gateway-services.ts'
import type { MeshServiceOptions } from './own-services/mesh-service.ts'
import { startOwnServices } from './own-services/own-services.ts'
import { createReflectionFilter } from './reflection/reflection-filter.ts'
import { createCallHandler } from './serve-call.ts'
import type { ReplicaMarks } from './upstream/replica.ts'
import { createUpstreams } from './upstream/upstreams.ts'

export interface DelegationPortOptions {
  readonly listen: ListenAddress
  readonly identity: IdentityStore
  readonly spiffe: SpiffeTemplate
  readonly meshDomain: string
  /** The gateway's own names besides those of its certificate and `localhost`, lower case. */
  readonly names?: () => readonly string[]
  readonly policy: {
    current(): PolicySnapshot
    /** Default: a change takes effect within a quarter of a second. */
    onChange?(listener: () => void): () => void
  }
  /** Judges certificates, agents and trees of delegations. Default: nothing is revoked. */
  readonly revocations?: Revocations
  readonly limits: Limits
  /** Counts agents and addresses that are refused repeatedly. Default: for this port alone. */
  readonly refusals?: RefusalBudgets
  readonly audit: AuditLog
  readonly metrics: Metrics
  readonly log: Log
  readonly resolver: Resolver
  /** The keys by which tokens verify now. Default: any key. */
  readonly keys?: VerifyingKeys
  /** Signs and judges chains of delegation. */
  readonly chain: ChainGate
  readonly issueEgressToken: MeshServiceOptions['issueEgressToken']
  /** As in UpstreamsOptions. */
  readonly peerPorts?: readonly number[]
  readonly staticPeers?: () => StaticPeers | null
  readonly marks?: ReplicaMarks
  /** Of the other ports of the gateway. Default: none. */
  readonly ownAddresses?: () => readonly ListenAddress[]
  /** TCP, TLS and HTTP/2 to a peer together, in milliseconds. Default 10 000. */
  readonly dialTimeoutMs?: number
  /** Limits per client. Default `DEFAULT_GUARD_LIMITS`. */
  readonly guard?: Partial<GuardLimits>
  /** Refuses every call while the audit log cannot be written. Default false: lost records are counted as dropped. */
  readonly refuseWithoutAudit?: boolean
}

/** How long the last frames of a connection may take to leave, in milliseconds. */
const LAST_FRAMES_MS = 1_000
const TOO_OLD = 'the connection is as old as it may be'
/** How long a refused connection may read its answers, in milliseconds. */
const REFUSED_LINGER_MS = 2_000
/**
 * Node's limit for one connection, enough for a thousand streams, which have bounds of their own. Node's default of 10
 * refuses headers in the middle of a stream.
 */
const SESSION_MEMORY_MB = 64
/**
 * Node's own limit on headers is this much wider than ours, so that our code refuses large ones, with the reason and an
 * audit record.
 */
const HEADER_SLACK = 4

/** @throws MeshError MESH_CONFIG_PORT */
export async function createDelegationPort(options: DelegationPortOptions): Promise<Port> {
  const {
    identity,
    spiffe,
    log,
    revocations = NO_REVOCATIONS,
    refuseWithoutAudit = false,
  } = options
  const guarded = new WeakMap<Http2Session, { client: Client; watch: SessionGuard }>()
  const sessions = new Set<ServerHttp2Session>()
  let draining = false
  let address: ListenAddress | null = null

  const guardLimits = { ...DEFAULT_GUARD_LIMITS, ...options.guard }
  const live = createLiveCalls({ ...options, revocations })
  const upstreams = createUpstreams({
    ...options,
    revocations,
    ownAddresses: () => [
      ...(options.ownAddresses?.() ?? []),
      ...(address === null ? [] : [address]),
    ],
    pingMs: guardLimits.pingMs,
    ageMs: guardLimits.connectionAgeMs,
  })
  const reflection = createReflectionFilter(options.policy)
  const ownServices = await startOwnServices(
    (server, calls) =>
      addGatewayServices(server, {
        ...options,
        ...{ calls, gatewayId: () => identity.current().identity.id },
      }),
    identity.current().identity.id,
    guardLimits.ownCallsPerMinute,
  )
  const { handshakeMs, maxConcurrentStreams, headerBytes, headerCount, resetsPerSecond } =
    guardLimits
  const { metrics } = options
  const guard = createGuard({ limits: guardLimits, windowBytes: WINDOW_BYTES, metrics, log })
  const calls = createCallHandler({
    ...options,
    revocations,
    live,
    refusals: options.refusals ?? createRefusalBudgets(),
    guardLimits,
    openCalls: createOpenCalls({
      limits: guardLimits,
      policyLimit: (agent) => concurrentStreams(options.policy.current(), agent),
    }),
    backlog: guard.backlog,
    names: createRouteNames(options),
    upstreams,
    ownServices,
    reflection,
    closedFor() {
      if (draining) return new MeshError('MESH_GATEWAY_DRAINING')
      return refuseWithoutAudit && !options.audit.healthy() ? unauditable() : null
    },
  })

  // `chooseProtocol` chooses it for each client
  const { ALPNProtocols: _, ...tlsOptions } = serverTlsOptions(identity.current())
  const server = createSecureServer({
    ...{ ...tlsOptions, ...TCP_KEEP_ALIVE },
    allowHTTP1: false,
    ALPNCallback: chooseProtocol,
    handshakeTimeout: handshakeMs,
    maxHeaderListPairs: headerCount * HEADER_SLACK,
    // for answers, including the fields that the gateway adds
    maxSendHeaderBlockLength: MAX_METADATA_BYTES * 2,
    maxSessionInvalidFrames: 100,
    // delivered, and trimmed by our code: nghttp2 would drop a narrowing field in silence
    strictFieldWhitespaceValidation: false,
    maxSessionMemory: SESSION_MEMORY_MB,
    streamResetBurst: maxConcurrentStreams * 2,
    streamResetRate: resetsPerSecond,
    settings: {
      maxConcurrentStreams,
      initialWindowSize: WINDOW_BYTES,
      maxHeaderListSize: headerBytes * HEADER_SLACK,
      enablePush: false,
    },
  })
  const unfollow = followIdentity(server, identity)
  guard.stand(server)
  function release(): void {
    unfollow()
    live.close()
    guard.close()
    reflection.close()
    upstreams.close()
    ownServices.close()
  }

  server.on('session', (session) => {
    leanStreamTables(session)
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
    const client = authenticateClient(
      session.socket as TLSSocket,
      identity.current(),
      spiffe,
      revocations,
    )
    const watch = guard.watch(session, client, () => calls.drain(client, TOO_OLD))
    if (watch === null) return
    guarded.set(session, { client, watch })
    if (client.refusal !== null) dismiss(session)
  })
  server.on('stream', onStream)
  function onStream(
    stream: ServerHttp2Stream,
    _headers: IncomingHttpHeaders,
    _flags: number,
    rawHeaders: readonly string[],
  ): void {
    const session = stream.session
    const known = session === undefined ? undefined : guarded.get(session)
    if (known === undefined || !known.watch.opened(stream)) {
      stream.on('error', () => {})
      stream.close(constants.NGHTTP2_REFUSED_STREAM)
    } else calls.handle(stream, trimmedFields(rawHeaders), known.client)
  }
  server.on('sessionError', (err) => log.debug({ err }, 'a connection ended with an error'))

  try {
    address = await listenOn(server, options.listen, 'delegation.listen')
  } catch (cause) {
    release()
    throw cause
  }

  const closed = new Promise<void>((resolve) => server.once('close', () => resolve()))
  async function close(): Promise<void> {
    draining = true
    server.close()
    guard.dismissStrangers()
    await endAll()
    release()
  }

  /** Each call gets the reason for its end. A client that does not read the last frames is not waited for. */
  async function endAll(): Promise<void> {
    calls.drain()
    for (const session of sessions) session.close()
    const timer = setTimeout(() => guard.endAll(), LAST_FRAMES_MS)
    await closed
    clearTimeout(timer)
  }

  return {
    address,
    async drain(graceMs) {
      draining = true
      ownServices.drain()
      server.close()
      guard.dismissStrangers()
      // GOAWAY: no new calls; open ones run to their end
      for (const session of sessions) gracefulGoaway(session)
      const timer = setTimeout(endAll, graceMs)
      await closed
      clearTimeout(timer)
      release()
    },
    close,
  }
}

/** Leaves a refused connection open just long enough for the client to read the reason. */
function dismiss(session: ServerHttp2Session): void {
  const timer = setTimeout(() => session.destroy(), REFUSED_LINGER_MS)
  session.once('close', () => clearTimeout(timer))
  session.once('stream', (stream) => stream.once('close', () => session.close()))
}
