/** Questions about many tasks, and answers to questions, from the wire; judged here. */
import { createHash } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import type { Part } from '../model/part.ts'
import type { TaskQuery } from '../model/task-store.ts'
import { messages, type WireListRequest, type WireSendInputRequest } from './messages.ts'
import { decodePart } from './part-codec.ts'
import { check, checkLabels } from './request-codec.ts'
import { decodeKnownState } from './state-codec.ts'

const PAGE = 50
const MAX_PAGE = 200

/** @throws MeshError MESH_TASK_REQUEST_INVALID */
export function decodeListRequest(request: WireListRequest): TaskQuery {
  const labels = Object.entries(request.labels)
  checkLabels(labels)
  const { page_size: size, page_token: token } = request
  check(token === '' || /^[1-9]\d{0,14}$/.test(token), 'page_token is none of ours')
  const states = request.states.map(decodeKnownState).filter((state) => state !== null)
  check(states.length === request.states.length, 'a state is not known')
  return {
    states,
    labels: Object.freeze(Object.fromEntries(labels)),
    before: token === '' ? null : Number(token),
    limit: size === 0 ? PAGE : Math.min(size, MAX_PAGE),
  }
}

export interface SentInput {
  /** Empty: the only question that is open. */
  readonly inputId: string
  readonly answer: readonly Part[]
  readonly hash: string
}

/** @throws MeshError MESH_TASK_REQUEST_INVALID */
export function decodeSentInput(request: WireSendInputRequest): SentInput {
  check(request.input_id.length <= 64, 'input_id is too long')
  const answer = request.answer.map(decodePart)
  const content = messages.sendInputRequest.serialize({
    ...request,
    delegation_id: '',
    input_id: '',
  })
  if (content.length > MAX_ANSWER_BYTES) throw new MeshError('MESH_LIMIT_SIZE')
  return {
    inputId: request.input_id,
    answer,
    hash: createHash('sha256').update(content).digest('hex'),
  }
}

const MAX_ANSWER_BYTES = 3.5 * 1024 * 1024
