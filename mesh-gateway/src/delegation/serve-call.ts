/**
 * Serves one delegated call, from its first header to its callee. The checks come in this order: certificate, request
 * headers and route, chain, then policy, limits and peer (`serve-peer.ts`).
 */
import type { ServerHttp2Stream } from 'node:http2'
import type { IdentityStore, PeerCertificate } from '@clawmesh/agent-sdk/mesh'
import type { MeshError } from '@clawmesh/proto'
import type { GuardLimits } from '../config/guard-limits.ts'
import { createDenseSet } from '../live/dense-set.ts'
import { endsOrAsks } from '../policy/decide/task-methods.ts'
import type { RevocationJudge } from '../revocation/judge.ts'
import { ActiveCall, type ActiveCallOptions, type ActiveCalls } from './active-call.ts'
import { type Call, isGrpc, readCall } from './call.ts'
import type { ChainGate } from './chain/chain-gate.ts'
import { type Client, judgeClient } from './client/authenticate.ts'
import { checkHeaderSize } from './client/check-header-size.ts'
import type { OpenCalls } from './client/open-calls.ts'
import { checkRefusals } from './count-refusals.ts'
import { fieldOnce } from './field-values.ts'
import { headOf, notGrpc, protocolOf } from './other-protocols/protocol-of.ts'
import type { OwnServices } from './own-services/own-services.ts'
import type { RouteNames } from './route.ts'
import { createPeerCalls, type PeerCalls, type PeerCallsOptions } from './serve-peer.ts'

export interface CallHandlerOptions extends ActiveCallOptions, PeerCallsOptions {
  readonly identity: IdentityStore
  readonly revocations: RevocationJudge
  readonly names: () => RouteNames
  readonly ownServices: OwnServices
  readonly chain: ChainGate
  readonly guardLimits: GuardLimits
  readonly openCalls: OpenCalls
  readonly closedFor: ClosedFor
}

/**
 * Why calls are refused now; null while they are served.
 * @param freesMemory for a call that is served while memory is short, until it is exhausted
 */
export type ClosedFor = (freesMemory: boolean) => MeshError | null

export interface CallHandler {
  handle(
    stream: ServerHttp2Stream,
    /** Names and values in turn, without whitespace around values. */
    rawHeaders: readonly string[],
    client: Client,
  ): void
  /** Ends all open calls, or those of one connection, with MESH_GATEWAY_DRAINING. */
  drain(client?: Client, message?: string): void
}

export function createCallHandler(options: CallHandlerOptions): CallHandler {
  const { policy } = options
  const peerCalls = createPeerCalls(options)
  const calls: ActiveCalls = createDenseSet()

  return {
    handle(stream, rawHeaders, client) {
      const { generation } = policy.current()
      const served = new ActiveCall(stream, client, generation, options, calls)
      try {
        begin(served, rawHeaders, options, peerCalls)
      } catch (cause) {
        served.refuse(cause)
      }
    },
    drain(client, message) {
      calls.visit((served) => {
        if (client === undefined || served.client === client) served.drain(message)
      })
    },
  }
}

/** @throws MeshError when a check refuses the call; a check that takes longer refuses it itself */
function begin(
  served: ActiveCall,
  rawHeaders: readonly string[],
  options: CallHandlerOptions,
  peerCalls: PeerCalls,
): void {
  if (!isGrpc(rawHeaders)) {
    served.protocol = protocolOf(headOf(rawHeaders))
    throw notGrpc(served.protocol)
  }
  const certificate = letIn(served, rawHeaders, options)
  const call = readRoutedCall(served, rawHeaders, options)
  if (call.chain.token === null) serve(served, certificate, call, options, peerCalls)
  else
    present(served, certificate, call.chain.token, options.chain)
      .then(() => serve(served, certificate, call, options, peerCalls))
      .catch((cause: unknown) => served.refuse(cause))
}

/** Checks the client: its earlier refusals, its certificate, and whether there is room for one more call. */
function letIn(
  { client, permits }: ActiveCall,
  rawHeaders: readonly string[],
  { refusals, identity, revocations, closedFor, openCalls }: CallHandlerOptions,
): PeerCertificate {
  checkRefusals(refusals, client)
  const certificate = judgeClient(client, identity.current(), Date.now(), revocations)
  let closed = closedFor(false)
  if (closed !== null && endsOrAsks(methodIn(rawHeaders))) closed = closedFor(true)
  if (closed !== null) throw closed
  permits.hold(openCalls.enter(certificate.identity))
  return certificate
}

function methodIn(rawHeaders: readonly string[]): string {
  const path = fieldOnce(rawHeaders, ':path')
  return typeof path === 'string' ? path.slice(1) : ''
}

/** Reads the request headers and finds the route. The deadline of the call starts here. */
function readRoutedCall(
  served: ActiveCall,
  rawHeaders: readonly string[],
  { guardLimits, names, spiffe, identity }: CallHandlerOptions,
): Call {
  const { client, record } = served
  checkHeaderSize(rawHeaders, guardLimits)
  const call = readCall(rawHeaders, client.ownPort)
  record.call = call
  const { route, callee } = client.routes.to(call.target, names(), spiffe)
  record.route = route
  record.callee = callee ?? identity.current().identity.id
  if (call.timeoutMs !== null) served.startDeadline(call.timeoutMs)
  return call
}

/** Verifies the token that the caller presents, and records its chain. */
async function present(
  { record }: ActiveCall,
  { identity: caller }: PeerCertificate,
  token: string,
  chain: Pick<ChainGate, 'present'>,
): Promise<void> {
  record.presented = await chain.present(token, caller.id)
  record.link = record.presented
}

function serve(
  served: ActiveCall,
  certificate: PeerCertificate,
  call: Call,
  { ownServices }: CallHandlerOptions,
  peerCalls: PeerCalls,
): void {
  if (served.ended) return
  const { route } = served.record
  if (route?.kind === 'peer') peerCalls.serve(served, certificate, call, route)
  else serveSelf(served, certificate, call, ownServices)
}

/** Serves a call to the gateway's own services. */
function serveSelf(
  served: ActiveCall,
  certificate: PeerCertificate,
  call: Call,
  ownServices: OwnServices,
): void {
  const session = ownServices.acquire(certificate, call.method)
  served.record.own = ownServices.begin(certificate)
  const mesh = ownServices.metadata(served.record.own, call)
  served.carryWhenReady(session, { call, mesh, elsewhere: null })
}
