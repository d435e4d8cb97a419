/** The task that a skill sees, out of the request that began it. */
import type { AgentIdentity } from '@clawmesh/proto'
import { jsonOf, textOf } from '../model/part.ts'
import { messages } from '../wire/messages.ts'
import { decodeRequest, type TaskRequest } from '../wire/request-codec.ts'
import type { Task } from './skill.ts'
import { readTaskChain } from './task-chain.ts'

/** @param origin the delegation token that it came with; null: none */
export function taskOf(
  request: TaskRequest,
  caller: AgentIdentity,
  origin: { readonly delegationToken: string | null },
): Task {
  const { id, skill, input, labels, deadline } = request
  return Object.freeze({
    ...{ id, skill, input, caller, labels, deadline },
    chain: readTaskChain(origin.delegationToken),
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
