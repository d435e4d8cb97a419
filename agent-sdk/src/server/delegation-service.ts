/** clawmesh.delegation.v1.DelegationService on a task host: wire messages in, wire messages out, errors as statuses. */

import {
  type AgentIdentity,
  DELEGATION_SERVICE,
  isUuidV7,
  METADATA_CALLER,
  METADATA_DELEGATION,
  METADATA_TRACEPARENT,
  MeshError,
  type SpiffeTemplate,
  serviceOf,
} from '@clawmesh/proto'
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import type { Log } from '../log.ts'
import type { TaskHost } from '../tasks/task-host.ts'
import type { TaskReader } from '../tasks/task-reader.ts'
import { decodeListRequest, decodeSentInput } from '../wire/list-codec.ts'
import {
  definition,
  type WireDelegateRequest,
  type WireListRequest,
  type WireSendInputRequest,
  type WireTask,
} from '../wire/messages.ts'
import { decodeRequest, encodeTask, measureRequest, REQUEST_LIMITS } from '../wire/request-codec.ts'
import { errorToStatus } from '../wire/status-codec.ts'
import { METADATA_DIRECT } from './caller-gate.ts'
import { streamEvents } from './stream-events.ts'

export interface DelegationServiceOptions {
  readonly host: TaskHost
  readonly spiffe: SpiffeTemplate
  readonly heartbeatMs: number
  readonly log: Log
  readonly now: () => number
}

export interface Service {
  readonly definition: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
}

export function createDelegationService(options: DelegationServiceOptions): Service {
  const { host, spiffe, heartbeatMs, log, now } = options

  const stream = <Request>(
    call: ServerWritableStream<Request, Buffer>,
    open: (caller: AgentIdentity) => TaskReader,
  ) => {
    try {
      const caller = callerOf(call.metadata, spiffe)
      const reader = open(caller)
      tellTree(call, caller, reader.id)
      streamEvents(call, reader, { heartbeatMs, now })
    } catch (error) {
      if (!(error instanceof MeshError)) log.error({ err: error }, 'a delegation call failed')
      call.emit('error', errorToStatus(error))
    }
  }
  /** The gateway judges the call as part of the tree that the task is part of, whoever looks at it. */
  const tellTree = (
    call: ServerWritableStream<unknown, unknown> | ServerUnaryCall<unknown, unknown>,
    caller: AgentIdentity,
    id: string,
  ) => {
    const { metadata } = call
    const tree = metadata.get(METADATA_DIRECT).length > 0 ? null : host.treeOf(caller, id)
    // what the gateway has signed for this very call, it knows
    if (tree === null || tree === only(metadata, METADATA_DELEGATION)) return
    const head = new Metadata()
    head.set(METADATA_DELEGATION, tree)
    call.sendMetadata(head)
  }
  const unary =
    <Request, Response = WireTask>(
      answer: (caller: AgentIdentity, request: Request) => Response,
      about: (request: Request) => string | null = () => null,
    ): handleUnaryCall<Request, Response> =>
    (call, callback) => {
      try {
        const caller = callerOf(call.metadata, spiffe)
        const response = answer(caller, call.request)
        const id = about(call.request)
        if (id !== null) tellTree(call, caller, id)
        callback(null, response)
      } catch (error) {
        if (!(error instanceof MeshError)) log.error({ err: error }, 'a delegation call failed')
        callback(errorToStatus(error))
      }
    }

  const Delegate: handleServerStreamingCall<WireDelegateRequest, Buffer> = (call) => {
    stream(call, (caller) => {
      const asked = { request: decodeRequest(call.request), ...measureRequest(call.request) }
      return host.delegate(caller, asked, {
        traceparent: only(call.metadata, METADATA_TRACEPARENT),
        delegationToken: only(call.metadata, METADATA_DELEGATION),
      })
    })
  }
  const Watch: handleServerStreamingCall<{ delegation_id: string; after_seq: number }, Buffer> = (
    call,
  ) => {
    const { delegation_id: id, after_seq: afterSeq } = call.request
    stream(call, (caller) => host.watch(caller, known(id), afterSeq))
  }
  const Get = unary<{ delegation_id: string }>(
    (caller, request) => encodeTask(host.get(caller, known(request.delegation_id))),
    idOf,
  )
  const Cancel = unary<{ delegation_id: string; reason: string }>((caller, request) => {
    const reason = request.reason.slice(0, REQUEST_LIMITS.reasonLength)
    return encodeTask(host.cancel(caller, known(request.delegation_id), reason))
  }, idOf)
  const List = unary<WireListRequest, { tasks: WireTask[]; next_page_token: string }>(
    (caller, request) => {
      const { tasks, next } = host.list(caller, decodeListRequest(request))
      return { tasks: tasks.map(encodeTask), next_page_token: next === null ? '' : String(next) }
    },
  )
  const SendInput = unary<WireSendInputRequest>((caller, request) => {
    const id = known(request.delegation_id)
    return encodeTask(host.sendInput(caller, id, decodeSentInput(request)))
  }, idOf)
  return {
    definition: withEncodedEvents(serviceOf(definition, DELEGATION_SERVICE)),
    implementation: { Delegate, Watch, Get, Cancel, List, SendInput },
  }
}

/** Events come out of the store encoded. */
function withEncodedEvents(service: ServiceDefinition): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(service).map(([name, method]) =>
      method.responseStream
        ? [name, { ...method, responseSerialize: (event: Buffer) => event }]
        : [name, method],
    ),
  )
}

/** The agent that the gate has put into the metadata: the gateway's word, or the certificate's own. */
function callerOf(metadata: Metadata, spiffe: SpiffeTemplate): AgentIdentity {
  const id = only(metadata, METADATA_CALLER)
  const identity = id === null ? null : spiffe.parse(id)
  if (identity?.kind !== 'agent')
    throw new MeshError('MESH_IDENTITY_NOT_AGENT', 'the gateway named no agent as the caller')
  return identity
}

function only(metadata: Metadata, key: string): string | null {
  const [value, ...rest] = metadata.get(key)
  return typeof value === 'string' && rest.length === 0 ? value : null
}

function idOf(request: { readonly delegation_id: string }): string {
  return request.delegation_id
}

function known(id: string): string {
  if (!isUuidV7(id)) throw new MeshError('MESH_TASK_NOT_FOUND')
  return id
}
