/** The task that a skill sees, out of the request that began it. */
import type { AgentIdentity } from '@clawmesh/proto'
import { messages } from '../wire/messages.ts'
import { decodeRequest, type TaskRequest } from '../wire/request-codec.ts'
import { jsonOf, textOf } from './part.ts'
import type { Task } from './skill.ts'

export function taskOf(request: TaskRequest, caller: AgentIdentity): Task {
  const { id, skill, input, labels, deadline } = request
  return Object.freeze({
    ...{ id, skill, input, caller, labels, deadline },
    text: () => textOf(input),
    json: () => jsonOf(input),
  })
}

/** Null for what a newer version wrote and this one cannot read. */
export function requestOf(encoded: Uint8Array): TaskRequest | null {
  try {
    return decodeRequest(messages.delegateRequest.deserialize(Buffer.from(encoded)))
  } catch {
    return null
  }
}
