/** What is told of a task, out of its record. */
import { isErrorCode, type MeshError } from '@clawmesh/proto'
import type { Failure, TaskInfo } from '../model/task-event.ts'
import type { TaskRecord } from '../model/task-store.ts'

export function failureOf(error: MeshError, state: Failure['state']): Failure {
  const { publicMessage: message, hint, row } = error
  return { state, code: codeOf(error), message, hint, retryable: row.retryable }
}

const CODE_LENGTH = 128

/** A code of the skill's own stands for itself. */
function codeOf({ code, facts }: MeshError): string {
  const own = code === 'MESH_TASK_FAILED' ? facts.code : undefined
  return own === undefined || isErrorCode(own) ? code : own.slice(0, CODE_LENGTH).toWellFormed()
}

export function infoOf(record: TaskRecord): TaskInfo {
  const { id, skill, state, caller, createdMs, updatedMs, lastSeq, labels, failure } = record
  const times = { created: new Date(createdMs), updated: new Date(updatedMs) }
  const pendingInputs =
    record.endedMs === null
      ? record.inputs.filter(({ answerHash }) => answerHash === null).map((input) => input.id)
      : []
  return Object.freeze({
    ...{ id, skill, state, caller, ...times, lastSeq, labels, failure, pendingInputs },
  })
}

/** About what it takes in a message. */
export function sizeOf({ labels, failure, inputs }: TaskRecord): number {
  const text = Object.entries(labels).flat().join('').length + (failure?.message.length ?? 0)
  return 512 + 3 * text + inputs.length * 8
}
