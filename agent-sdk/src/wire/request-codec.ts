/** Requests and tasks to the wire and back; requests of callers are judged here, before anything is kept. */
import { createHash } from 'node:crypto'
import { fromTimestamp, isUuidV7, MeshError, toTimestamp } from '@clawmesh/proto'
import type { Part } from '../model/part.ts'
import type { TaskInfo } from '../model/task-event.ts'
import { decodeFailure, encodeFailure } from './event-codec.ts'
import { messages, type WireDelegateRequest, type WireTask } from './messages.ts'
import { decodePart, encodePart } from './part-codec.ts'
import { decodeState, encodeState } from './state-codec.ts'

export interface TaskRequest {
  readonly id: string
  readonly skill: string
  readonly input: readonly Part[]
  readonly idempotencyKey: string | null
  readonly deadline: Date | null
  readonly detached: boolean
  readonly labels: Readonly<Record<string, string>>
}

export const REQUEST_LIMITS = Object.freeze({
  skillLength: 128,
  keyLength: 256,
  labels: 64,
  labelKeyLength: 128,
  labelValueLength: 1024,
  reasonLength: 1024,
})

/** All text is made UTF-8: servers in other languages refuse a message with half of a surrogate pair as a whole. */
export function encodeRequest(request: TaskRequest): WireDelegateRequest {
  return {
    delegation_id: request.id,
    skill: request.skill,
    input: request.input.map(encodePart),
    idempotency_key: (request.idempotencyKey ?? '').toWellFormed(),
    task_deadline: request.deadline === null ? null : toTimestamp(request.deadline),
    detached: request.detached,
    labels: encodeLabels(request.labels),
  }
}

export function encodeLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels).map(([key, value]) => [key.toWellFormed(), value.toWellFormed()]),
  )
}

export function encodeCancel(id: string, reason: string) {
  return { delegation_id: id, reason: reason.slice(0, REQUEST_LIMITS.reasonLength).toWellFormed() }
}

/** @throws MeshError MESH_TASK_REQUEST_INVALID naming the field that is wrong, never quoting it. */
export function decodeRequest(request: WireDelegateRequest): TaskRequest {
  const labels = Object.entries(request.labels)
  check(isUuidV7(request.delegation_id), 'delegation_id is not a UUIDv7')
  check(isSkillName(request.skill), 'skill is not a name')
  check(
    request.idempotency_key.length <= REQUEST_LIMITS.keyLength,
    `idempotency_key is longer than ${REQUEST_LIMITS.keyLength} characters`,
  )
  checkLabels(labels)
  const deadline = fromTimestamp(request.task_deadline)
  check(deadline === null || !Number.isNaN(deadline.getTime()), 'task_deadline is out of range')
  return {
    id: request.delegation_id,
    skill: request.skill,
    input: request.input.map(decodePart),
    idempotencyKey: request.idempotency_key === '' ? null : request.idempotency_key,
    deadline,
    detached: request.detached,
    labels: Object.freeze(Object.fromEntries(labels)),
  }
}

export function isSkillName(name: string): boolean {
  return name.length <= REQUEST_LIMITS.skillLength && /^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(name)
}

/**
 * What makes a task the same task, as SHA-256: skill, input, labels, detached. Neither its id nor its
 * deadline, which a retry makes anew. And how many bytes it takes.
 */
export function measureRequest(request: WireDelegateRequest): {
  readonly contentHash: string
  readonly inputBytes: number
} {
  const hash = createHash('sha256')
  const add = (bytes: Uint8Array) => {
    const length = Buffer.alloc(8)
    length.writeBigUInt64BE(BigInt(bytes.length))
    hash.update(length).update(bytes)
  }
  // maps have no order on the wire: written here in the order of their keys
  const labels = Object.entries(request.labels).sort(([a], [b]) => (a < b ? -1 : 1))
  const without = { delegation_id: '', idempotency_key: '', task_deadline: null, labels: {} }
  const content = messages.delegateRequest.serialize({ ...request, ...without })
  add(content)
  for (const [key, value] of labels) {
    add(Buffer.from(key))
    add(Buffer.from(value))
  }
  return { contentHash: hash.digest('hex'), inputBytes: content.length }
}

export function encodeTask(task: TaskInfo): WireTask {
  return {
    delegation_id: task.id,
    skill: task.skill,
    state: encodeState(task.state),
    caller: task.caller,
    created: toTimestamp(task.created),
    updated: toTimestamp(task.updated),
    last_seq: task.lastSeq,
    labels: { ...task.labels },
    failure: task.failure === null ? null : encodeFailure(task.failure),
    pending_inputs: [...task.pendingInputs],
  }
}

/** @throws MeshError MESH_PEER_PROTOCOL for an id that is none: it becomes part of what models read */
export function decodeTask(task: WireTask): TaskInfo {
  if (!isUuidV7(task.delegation_id))
    throw new MeshError('MESH_PEER_PROTOCOL', 'the id of the task is no UUIDv7')
  return {
    id: task.delegation_id,
    skill: task.skill,
    state: decodeState(task.state),
    caller: task.caller,
    created: timeOf(task.created),
    updated: timeOf(task.updated),
    lastSeq: task.last_seq,
    labels: Object.freeze(Object.fromEntries(Object.entries(task.labels))),
    failure: task.failure === null ? null : decodeFailure(task.failure),
    pendingInputs: Object.freeze([...task.pending_inputs]),
  }
}

/** A time that no Date can hold is none. */
function timeOf(given: WireTask['created']): Date {
  const time = fromTimestamp(given)
  return time === null || Number.isNaN(time.getTime()) ? new Date(0) : time
}

/** @throws MeshError MESH_TASK_REQUEST_INVALID */
export function checkLabels(labels: readonly (readonly [string, string])[]): void {
  check(labels.length <= REQUEST_LIMITS.labels, `more than ${REQUEST_LIMITS.labels} labels`)
  for (const [key, value] of labels)
    check(
      key.length <= REQUEST_LIMITS.labelKeyLength &&
        value.length <= REQUEST_LIMITS.labelValueLength,
      'a label is too long',
    )
}

/** @throws MeshError MESH_TASK_REQUEST_INVALID */
export function check(good: boolean, message: string): void {
  if (!good) throw new MeshError('MESH_TASK_REQUEST_INVALID', message)
}
