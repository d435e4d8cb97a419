/**
 * Serves a call to a peer, once the client is known and the route is found: policy and limits, the chain of delegation,
 * a session to the peer.
 */
import type { PeerCertificate } from '@clawmesh/agent-sdk/mesh'
import {
  type AgentIdentity,
  METADATA_DELEGATION,
  MeshError,
  type SpiffeTemplate,
} from '@clawmesh/proto'
import type { Limits, MaybePromise } from '../limits/limits.ts'
import { createWaitingRoom } from '../limits/waiting-room.ts'
import { startsTask } from '../policy/decide/task-methods.ts'
import type { PolicySnapshot } from '../policy/snapshot.ts'
import type { ActiveCall } from './active-call.ts'
import { admit, takeTurn } from './admit.ts'
import { type Call, meshMetadata } from './call.ts'
import type { ChainGate } from './chain/chain-gate.ts'
import { limitsOfChain } from './chain/limits-of-chain.ts'
import { isReflection, type ReflectionFilter } from './reflection/reflection-filter.ts'
import type { PeerRoute } from './route.ts'
import type { UpstreamSession } from './upstream/session.ts'
import type { Upstreams } from './upstream/upstreams.ts'

export interface PeerCallsOptions {
  readonly spiffe: SpiffeTemplate
  readonly policy: { current(): PolicySnapshot }
  readonly limits: Limits
  readonly chain: Pick<ChainGate, 'judge' | 'extend'>
  readonly upstreams: Pick<Upstreams, 'acquire'>
  readonly reflection: Pick<ReflectionFilter, 'through'>
}

export interface PeerCalls {
  /**
   * The record of the call holds its callee, and the chain that the caller has presented. A check that takes longer
   * refuses the call itself.
   * @throws MeshError when a check refuses the call at once
   */
  serve(served: ActiveCall, certificate: PeerCertificate, call: Call, route: PeerRoute): void
}

export function createPeerCalls(options: PeerCallsOptions): PeerCalls {
  const { policy, limits, chain, spiffe } = options
  const waitingRoom = createWaitingRoom(limits)

  return {
    serve(served, certificate, call, route) {
      const caller = enter(served, certificate, call, route)
      const starts = startsTask(call.method)
      if (!(caller instanceof Promise) && !starts) connect(served, caller, call, route, options)
      else
        goOn(served, caller, certificate, call, route).catch((cause: unknown) =>
          served.refuse(cause),
        )
    },
  }

  /** Checks policy and limits. Returns the caller. */
  function enter(
    { client, record, permits }: ActiveCall,
    { identity: caller }: PeerCertificate,
    call: Call,
    route: PeerRoute,
  ): MaybePromise<AgentIdentity> {
    if (caller.kind !== 'agent') throw new MeshError('MESH_IDENTITY_NOT_AGENT')
    const question = { caller, route, method: call.method, withinChain: record.link !== null }
    const decision = client.routes.decide(question, policy.current())
    record.decision = decision
    return admit(caller, decision, policy.current(), limits, permits)
  }

  async function goOn(
    served: ActiveCall,
    admitted: MaybePromise<AgentIdentity>,
    { links }: PeerCertificate,
    call: Call,
    route: PeerRoute,
  ): Promise<void> {
    const caller = await admitted
    if (served.ended) return
    if (!startsTask(call.method)) connect(served, caller, call, route, options)
    else await startTask(served, caller, links, call, route)
  }

  /** Begins a chain of delegation, or extends the presented one, when it is the callee's turn. */
  async function startTask(
    served: ActiveCall,
    caller: AgentIdentity,
    links: PeerCertificate['links'],
    call: Call,
    route: PeerRoute,
  ): Promise<void> {
    const { record, permits } = served
    const { link: parent, callee } = record
    if (callee === null) throw new TypeError('record: the callee is not known yet')
    const question = () => ({
      ...{ caller: caller.id, callee, parent, delegationId: call.delegationId },
      ...{ narrow: call.chain, links },
      ...limitsOfChain(policy.current(), caller, parent, spiffe),
    })
    const mayGo = () => chain.judge(question())
    await takeTurn(caller, route.peer, policy.current(), waitingRoom, permits, mayGo)
    if (served.ended) return
    const link = await chain.extend(question())
    if (served.ended) return
    record.link = link.claims
    connect(served, caller, call, route, options, METADATA_DELEGATION, link.token)
  }
}

/** @param more further headers for the callee, names and values in turn */
function connect(
  served: ActiveCall,
  caller: AgentIdentity,
  call: Call,
  route: PeerRoute,
  { upstreams, reflection }: Pick<PeerCallsOptions, 'upstreams' | 'reflection'>,
  ...more: string[]
): void {
  const mesh = meshMetadata(call, caller.id, caller.tenant)
  mesh.push(...more)
  const acquire = (failed?: UpstreamSession) =>
    upstreams.acquire(caller.tenant, route, call.chain, failed)
  if (!isReflection(call.method)) {
    const elsewhere = async (failed: UpstreamSession) => await acquire(failed)
    served.carryWhenReady(acquire(), { call, mesh, elsewhere })
    return
  }
  // reflection shows a caller only the methods that it may call
  const pair = { caller, callee: route.peer, withinChain: served.record.link !== null }
  const shown = (ready: UpstreamSession) => reflection.through(ready, pair)
  const elsewhere = async (failed: UpstreamSession) => shown(await acquire(failed))
  const session = acquire()
  const ready = session instanceof Promise ? session.then(shown) : shown(session)
  served.carryWhenReady(ready, { call, mesh, elsewhere })
}
