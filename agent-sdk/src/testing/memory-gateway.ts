/** Between agents in memory: finds the peer, asks policy, extends the chain, and hands the call on, as the gateway does. */
import {
  type AgentIdentity,
  DELEGATION_SERVICE,
  HEADER_REFUSAL,
  METADATA_CALLER,
  METADATA_DELEGATION,
  METADATA_DELEGATION_ID,
  METADATA_PREFIX,
  METADATA_ROOT_ID,
  METADATA_TENANT,
  METADATA_TRACEPARENT,
  MeshError,
  parseTraceparent,
  uuidV7,
} from '@clawmesh/proto'
import { Metadata, type StatusObject, status } from '@grpc/grpc-js'
import type { Service } from '../server/delegation-service.ts'
import { METHODS } from '../wire/messages.ts'
import { errorToStatus } from '../wire/status-codec.ts'
import { spanOf } from '../wire/trace.ts'
import { type CallersEnd, HandlersEnd } from './memory-call.ts'
import { agentsOf, extendChain, readToken, writeToken } from './memory-chain.ts'
import type { MemoryPolicy, TestRecord } from './memory-policy.ts'

/** An agent that serves. */
export interface MemoryServer {
  readonly identity: AgentIdentity
  readonly delegations: Service
  /** The calls that it answers at this moment. */
  readonly open: Set<HandlersEnd>
}

export interface MemoryCall {
  readonly caller: AgentIdentity
  /** Full name of the peer. */
  readonly authority: string
  /** `/package.Service/Method` */
  readonly path: string
  readonly request: Buffer
  readonly metadata: Metadata
  /** Who reads the events; null for a method with one answer. */
  readonly stream: CallersEnd<unknown> | null
  onHead(head: Metadata): void
  /** Of a method with one answer. */
  onAnswer(error: StatusObject | null, answer: Buffer | null): void
}

export interface MemoryGateway {
  /** By full name. */
  readonly servers: Map<string, MemoryServer>
  /** Makes the call; what refuses it comes as its status. Returns what cancels it. */
  call(call: MemoryCall): () => void
}

export interface MemoryGatewayOptions {
  readonly policy: MemoryPolicy
  readonly record: (record: TestRecord) => void
  /** False: nothing reaches the gateway. */
  readonly up: () => boolean
}

/** What grpc-js says of a gateway that is not there. */
export const AWAY: StatusObject = {
  code: status.UNAVAILABLE,
  details: 'No connection established. Last error: Error: the test mesh is down',
  metadata: new Metadata(),
}

export function createMemoryGateway(options: MemoryGatewayOptions): MemoryGateway {
  const servers = new Map<string, MemoryServer>()
  return {
    servers,
    call(call) {
      const fail = (end: StatusObject) => {
        if (call.stream === null) call.onAnswer(end, null)
        else call.stream.finish(end)
      }
      if (!options.up()) {
        fail(AWAY)
        return () => {}
      }
      try {
        return deliver(options, servers, call)
      } catch (error) {
        fail(errorToStatus(error))
        return () => {}
      }
    },
  }
}

/** @throws MeshError in the gateway's own words */
function deliver(
  { policy, record }: MemoryGatewayOptions,
  servers: ReadonlyMap<string, MemoryServer>,
  call: MemoryCall,
): () => void {
  const { caller, path, stream } = call
  const name = call.authority.replace(/:\d+$/, '')
  const method = path.slice(1)
  const presented = call.metadata.get(METADATA_DELEGATION)[0]
  const parent = presented === undefined ? null : readToken(String(presented))
  const chain = agentsOf(parent)
  const trace = spanOf(String(call.metadata.get(METADATA_TRACEPARENT)[0] ?? ''))
  const traceId = parseTraceparent(trace)?.traceId ?? ''
  const question = { plane: 'delegation', agent: caller.id, to: name, method, chain } as const
  const keep = (rootId: string | null, code: TestRecord['code']) =>
    record({ ...question, rootId, traceId, code })
  try {
    const refusal = policy.judge(question)
    if (refusal !== null) throw refusal
    const server = servers.get(name)
    if (server === undefined) throw new MeshError('MESH_PEER_UNRESOLVED')
    const metadata = new Metadata()
    for (const [key, value] of Object.entries(call.metadata.getMap()))
      if (!key.startsWith(METADATA_PREFIX)) metadata.set(key, value)
    metadata.set(METADATA_CALLER, caller.id)
    metadata.set(METADATA_TENANT, caller.tenant)
    metadata.set(METADATA_TRACEPARENT, trace)
    const root = new Metadata()
    if (path === METHODS.delegate) {
      const id = String(call.metadata.get(METADATA_DELEGATION_ID)[0] ?? uuidV7(Date.now()))
      const link = { caller: caller.id, callee: server.identity.id, id, parent }
      const extended = extendChain({ ...link, metadata: call.metadata })
      metadata.set(METADATA_DELEGATION, writeToken(extended))
      root.set(METADATA_ROOT_ID, extended.txn)
      keep(extended.txn, null)
    } else keep(parent?.txn ?? null, null)
    return handle(server, call, metadata, root, stream)
  } catch (error) {
    keep(parent?.txn ?? null, error instanceof MeshError ? error.code : null)
    throw error
  }
}

function handle(
  { delegations, open }: MemoryServer,
  call: MemoryCall,
  metadata: Metadata,
  root: Metadata,
  stream: CallersEnd<unknown> | null,
): () => void {
  const [, service, name = ''] = call.path.split('/')
  const { [name]: definition } = delegations.definition
  const { [name]: implementation } = delegations.implementation
  if (service !== DELEGATION_SERVICE || definition === undefined || implementation === undefined)
    throw new MeshError('MESH_PEER_UNIMPLEMENTED')
  const onHead = (head: Metadata) => {
    const [tree] = head.get(METADATA_DELEGATION)
    const known = new Metadata()
    if (tree !== undefined) known.set(METADATA_ROOT_ID, readToken(String(tree)).txn)
    call.onHead(known)
  }
  const end = new HandlersEnd(definition.requestDeserialize(call.request), metadata, stream, onHead)
  open.add(end)
  end.once('close', () => open.delete(end))
  if (root.get(METADATA_ROOT_ID).length > 0) call.onHead(root)
  end.on('error', (said: StatusObject) => end.finish(inPeersWords(said)))
  const answer = (error: StatusObject | null, value?: unknown) => {
    end.finish({ code: status.OK, details: '', metadata: new Metadata() })
    if (error !== null) call.onAnswer(inPeersWords(error), null)
    else call.onAnswer(null, definition.responseSerialize(value))
  }
  // of grpc-js, whose handlers take its own calls: these have all that ours use
  Reflect.apply(implementation, undefined, stream === null ? [end, answer] : [end])
  return () => end.cancelled()
}

/** What a callee says under the gateway's name does not pass. */
function inPeersWords(said: StatusObject): StatusObject {
  const metadata = said.metadata.clone()
  metadata.remove(HEADER_REFUSAL)
  return { ...said, metadata }
}
