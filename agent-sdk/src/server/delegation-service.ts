/** clawmesh.delegation.v1.DelegationService on a task host: wire messages in, wire messages out. */

import {
  DELEGATION_SERVICE,
  isUuidV7,
  METADATA_DELEGATION,
  METADATA_TRACEPARENT,
  MeshError,
} from '@clawmesh/proto'
import { serviceOf } from '@clawmesh/proto/wire'
import type {
  handleServerStreamingCall,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { decodeListRequest, decodeSentInput } from '../wire/list-codec.ts'
import {
  definition,
  type WireDelegateRequest,
  type WireListRequest,
  type WireSendInputRequest,
  type WireSkill,
  type WireTask,
} from '../wire/messages.ts'
import { decodeRequest, encodeTask, measureRequest, REQUEST_LIMITS } from '../wire/request-codec.ts'
import { encodeSkill } from '../wire/skill-codec.ts'
import { type AnswerOptions, createAnswers, only } from './answer-call.ts'

export interface Service {
  readonly definition: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
}

export function createDelegationService(options: AnswerOptions): Service {
  const { host } = options
  const { stream, unary } = createAnswers(options)

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
  const Describe = unary<{ skills: string[] }, { skills: WireSkill[] }>((caller, { skills }) => ({
    skills: host.describe(caller, skills).map(encodeSkill),
  }))
  return {
    definition: withEncodedEvents(serviceOf(definition, DELEGATION_SERVICE)),
    implementation: { Delegate, Watch, Get, Cancel, List, SendInput, Describe },
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

function idOf(request: { readonly delegation_id: string }): string {
  return request.delegation_id
}

function known(id: string): string {
  if (!isUuidV7(id)) throw new MeshError('MESH_TASK_NOT_FOUND')
  return id
}
