/**
 * Answers the calls of one service in the same way: finds the agent that calls, tells the gateway which tree the call is part
 * of, and turns errors into gRPC statuses.
 */
import {
  type AgentIdentity,
  METADATA_CALLER,
  METADATA_DELEGATION,
  MeshError,
  type SpiffeTemplate,
} from '@clawmesh/proto'
import {
  type handleUnaryCall,
  Metadata,
  type ServerUnaryCall,
  type ServerWritableStream,
} from '@grpc/grpc-js'
import type { Log } from '../log.ts'
import type { TaskHost } from '../tasks/task-host.ts'
import type { TaskReader } from '../tasks/task-reader.ts'
import type { WireTask } from '../wire/messages.ts'
import { errorToStatus } from '../wire/status-codec.ts'
import { METADATA_DIRECT } from './caller-gate.ts'
import { streamEvents } from './stream-events.ts'

export interface AnswerOptions {
  readonly host: TaskHost
  readonly spiffe: SpiffeTemplate
  readonly heartbeatMs: number
  readonly log: Log
  readonly now: () => number
}

export interface Answers {
  /** Answers with the events of the task that `open` finds or starts. */
  stream<Request>(
    call: ServerWritableStream<Request, Buffer>,
    open: (caller: AgentIdentity) => TaskReader,
  ): void
  /** @param about id of the task that the call is about. Default: none */
  unary<Request, Response = WireTask>(
    answer: (caller: AgentIdentity, request: Request) => Response,
    about?: (request: Request) => string | null,
  ): handleUnaryCall<Request, Response>
}

export function createAnswers(options: AnswerOptions): Answers {
  const { host, spiffe, heartbeatMs, log, now } = options

  const stream: Answers['stream'] = (call, open) => {
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
  /** The gateway judges the call as part of the tree that the task is part of, whichever agent makes it. */
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

  return { stream, unary }
}

/** The agent that the gate has put into the metadata: the gateway's word, or the certificate's own. */
function callerOf(metadata: Metadata, spiffe: SpiffeTemplate): AgentIdentity {
  const id = only(metadata, METADATA_CALLER)
  const identity = id === null ? null : spiffe.parse(id)
  if (identity?.kind !== 'agent')
    throw new MeshError('MESH_IDENTITY_NOT_AGENT', 'the gateway named no agent as the caller')
  return identity
}

/** The value of a key that is there once; null otherwise. */
export function only(metadata: Metadata, key: string): string | null {
  const [value, ...rest] = metadata.get(key)
  return typeof value === 'string' && rest.length === 0 ? value : null
}
