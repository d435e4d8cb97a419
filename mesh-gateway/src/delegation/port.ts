/**
 * The delegation port: forwards any gRPC service between agents. Composes the parts of the plane, listens, and drains.
 */
import type { IdentityStore, Log } from '@clawmesh/agent-sdk/mesh'
import { MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import type { AuditLog } from '../audit/audit-record.ts'
import type { RequestSpans } from '../audit/request-spans.ts'
import { unauditable } from '../audit/unauditable.ts'
import { DEFAULT_GUARD_LIMITS, type GuardLimits } from '../config/guard-limits.ts'
import type { StaticPeers } from '../config/static-peers.ts'
import type { Limits } from '../limits/limits.ts'
import { createRefusalBudgets, type RefusalBudgets } from '../limits/refusal-budget.ts'
import type { PeerState } from '../live/peer-state.ts'
import type { OpenWork } from '../live/registry.ts'
import { listenOn } from '../net/listen.ts'
import type { ListenAddress, Port } from '../net/port.ts'
import { concurrentStreams, type PolicySnapshot } from '../policy/snapshot.ts'
import {
  type MemoryWatch,
  overloaded,
  type Serving,
  UNWATCHED_MEMORY,
  withinMemory,
} from '../process/watch-memory.ts'
import type { Resolver } from '../resolve/resolver.ts'
import { NO_REVOCATIONS, type Revocations } from '../revocation/revocations.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import type { VerifyingKeys } from '../tokens/verify-token.ts'
import { WINDOW_BYTES } from './carry/windows.ts'
import type { ChainGate } from './chain/chain-gate.ts'
import { createGuard, type Guard } from './client/guard.ts'
import { createClientListener } from './client/listen-for-clients.ts'
import { createOpenCalls } from './client/open-calls.ts'
import { createLiveCalls, type LiveCalls } from './live/live-calls.ts'
import { createMcpEndpoint, type McpEndpoint } from './mcp/endpoint.ts'
import type { CancelRelay } from './mcp/running-requests.ts'
import { createRouteNames } from './own-names.ts'
import { addGatewayServices } from './own-services/gateway-services.ts'
import type { MeshServiceOptions } from './own-services/mesh-service.ts'
import { type OwnServices, startOwnServices } from './own-services/own-services.ts'
import { createReflectionFilter } from './reflection/reflection-filter.ts'
import type { RouteNames } from './route.ts'
import { type CallHandler, type ClosedFor, createCallHandler } from './serve-call.ts'
import { shutdown } from './shutdown.ts'
import type { ReplicaMarks } from './upstream/replica.ts'
import { createUpstreams, type Upstreams } from './upstream/upstreams.ts'

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
  /** Exports a span for each call. Default: none is exported. */
  readonly spans?: RequestSpans | null
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
  /** The addresses of proxies that name their clients by a PROXY header, as CIDR ranges. Default: no connection has one. */
  readonly proxiesFrom?: readonly string[]
  /** Limits per client. Default `DEFAULT_GUARD_LIMITS`. */
  readonly guard?: Partial<GuardLimits>
  /** Serves MCP at `/mcp`. Default: it is not served. */
  readonly mcp?: {
    /** The keys of session ids, the newest first; gateways that share them take each other's. */
    readonly sessionKeys: () => readonly Buffer[]
    /** Default: the gateway is one process. */
    readonly cancels?: CancelRelay | null
  } | null
  /** Refuses new work while the process has too little memory, and bounds what is buffered. Default: no limit. */
  readonly memory?: Omit<MemoryWatch, 'close'>
  /** Refuses every call while the audit log cannot be written. Default false: lost records are counted as dropped. */
  readonly refuseWithoutAudit?: boolean
}

/** Shares of a memory limit, for what waits for slow readers and for bodies of MCP. */
const BUFFERED_SHARE = 1 / 8
const MCP_SHARE = 1 / 16

export interface DelegationPort extends Port {
  /** Calls that were forwarded. @param most how many records */
  open(most: number): OpenWork
  /** The peers that are called, or were of late. @param most how many */
  peers(most: number): readonly PeerState[]
}

/** @throws MeshError MESH_CONFIG_PORT */
export async function createDelegationPort(
  options: DelegationPortOptions,
): Promise<DelegationPort> {
  const { identity, spiffe, log, audit, metrics, revocations = NO_REVOCATIONS } = options
  const { refuseWithoutAudit = false } = options
  let draining = false
  let address: ListenAddress | null = null

  const { memory = UNWATCHED_MEMORY } = options
  const limits = withinLimit({ ...DEFAULT_GUARD_LIMITS, ...options.guard }, memory)
  const ownServices = await startServices(options, limits)
  const { proxiesFrom = [] } = options
  const guard = createGuard({
    ...{ limits, windowBytes: WINDOW_BYTES, proxiesFrom, metrics, log, memory },
  })
  const serving: Serving = { count: 0 }
  const parts: CallParts = {
    ...{ guardLimits: limits, guard, ownServices, serving },
    names: createRouteNames({ identity, meshDomain: options.meshDomain, names: options.names }),
    refusals: options.refusals ?? createRefusalBudgets(),
    ownAddresses: () => [
      ...(options.ownAddresses?.() ?? []),
      ...(address === null ? [] : [address]),
    ],
    closedFor(freesMemory) {
      if (draining) return new MeshError('MESH_GATEWAY_DRAINING')
      // callers may keep open what frees memory, too: not until the process is killed
      if (freesMemory ? memory.exhausted(serving.count) : memory.overloaded(serving.count))
        return overloaded()
      return refuseWithoutAudit && !audit.healthy() ? unauditable() : null
    },
  }
  const { calls, close: closeCalls, live, upstreams } = createCalls(options, parts)
  const mcp = createMcp(options, parts, calls)
  const listener = createClientListener({
    ...{ identity, spiffe, revocations, limits, guard, calls, mcp, log },
  })
  const release = () => {
    listener.release()
    mcp?.close()
    closeCalls()
    guard.close()
    ownServices.close()
  }

  try {
    address = await listenOn(listener.server, options.listen, 'delegation.listen')
  } catch (cause) {
    release()
    throw cause
  }
  const { drain, close } = shutdown({ listener, guard, calls, mcp, release })
  return {
    address,
    open: (most) => live.open(most),
    peers: (most) => upstreams.peers(most),
    drain(graceMs) {
      draining = true
      ownServices.drain()
      return drain(graceMs)
    },
    close() {
      draining = true
      return close()
    },
  }
}

/** What is buffered for all calls together must fit into the memory that there is. */
function withinLimit(limits: GuardLimits, memory: Pick<MemoryWatch, 'limitBytes'>): GuardLimits {
  return {
    ...limits,
    bufferedBytes: withinMemory(limits.bufferedBytes, BUFFERED_SHARE, memory),
    mcpBufferedBytes: withinMemory(limits.mcpBufferedBytes, MCP_SHARE, memory),
  }
}

function startServices(
  { policy, chain, issueEgressToken, spiffe, meshDomain, ...options }: DelegationPortOptions,
  { ownCallsPerMinute }: GuardLimits,
): Promise<OwnServices> {
  const { identity, revocations = NO_REVOCATIONS } = options
  const gatewayId = () => identity.current().identity.id
  return startOwnServices(
    (server, calls) =>
      addGatewayServices(server, {
        ...{ spiffe, meshDomain, policy, chain, issueEgressToken, revocations, calls, gatewayId },
      }),
    gatewayId(),
    ownCallsPerMinute,
  )
}

/** The parts of the port that serve calls. */
interface CallParts {
  readonly guardLimits: GuardLimits
  readonly guard: Pick<Guard, 'backlog'>
  readonly ownServices: OwnServices
  readonly names: () => RouteNames
  readonly refusals: RefusalBudgets
  /** All addresses of the gateway, including that of this port. */
  readonly ownAddresses: () => readonly ListenAddress[]
  readonly closedFor: ClosedFor
  readonly serving: Serving
}

function createCalls(
  options: DelegationPortOptions,
  { guardLimits, guard, ownServices, ownAddresses, closedFor, names, refusals, serving }: CallParts,
): {
  readonly calls: CallHandler
  readonly live: LiveCalls
  readonly upstreams: Upstreams
  close(): void
} {
  const { identity, spiffe, policy, limits, chain, audit, metrics, log } = options
  const { revocations = NO_REVOCATIONS, keys, spans = null } = options
  const live = createLiveCalls({ identity, policy, revocations, keys, metrics })
  const upstreams = createUpstreams({
    ...{ identity, spiffe, resolver: options.resolver, metrics, log, revocations, ownAddresses },
    dialTimeoutMs: options.dialTimeoutMs,
    peerPorts: options.peerPorts,
    staticPeers: options.staticPeers,
    marks: options.marks,
    pingMs: guardLimits.pingMs,
    ageMs: guardLimits.connectionAgeMs,
  })
  const reflection = createReflectionFilter(policy)
  const calls = createCallHandler({
    ...{ identity, spiffe, policy, revocations, limits, chain, refusals, audit, metrics, log },
    ...{ spans, live, upstreams, ownServices, reflection, guardLimits, closedFor },
    backlog: guard.backlog,
    openCalls: createOpenCalls({
      ...{ limits: guardLimits, serving },
      policyLimit: (agent) => concurrentStreams(policy.current(), agent),
    }),
    names,
  })
  return {
    ...{ calls, live, upstreams },
    close() {
      live.close()
      reflection.close()
      upstreams.close()
    },
  }
}

/** The MCP endpoint; null when it is not served. */
function createMcp(
  { mcp = null, identity, revocations = NO_REVOCATIONS, ...options }: DelegationPortOptions,
  { guardLimits, closedFor, names, refusals, serving }: CallParts,
  calls: CallHandler,
): McpEndpoint | null {
  if (mcp === null) return null
  const { meshDomain, policy, audit, spans = null, metrics, log } = options
  return createMcpEndpoint({
    ...{ identity, revocations, refusals, meshDomain, names, guardLimits, calls, closedFor },
    ...{ serving, audit, spans, metrics, log },
    ...{ sessionKeys: mcp.sessionKeys, cancels: mcp.cancels ?? null },
    gatewayId: () => identity.current().identity.id,
    policyGeneration: () => policy.current().generation,
  })
}
