/** Rows as node:sqlite gives them, judged: a file is data from outside. */
import { MeshError } from '@clawmesh/proto'
import type { FailedState, Failure, TaskState } from '../../../model/task-event.ts'
import type { Beginning, Checkpoint, TaskInput, TaskRecord } from '../../../model/task-store.ts'

export type Row = Readonly<Record<string, unknown>> | undefined

const FAILED = ['failed', 'canceled', 'rejected', 'expired', 'orphaned'] as const
const STATES = [
  ...(['submitted', 'working', 'input-required', 'auth-required', 'completed'] as const),
  ...FAILED,
] as const

export function integerOf(row: Row, column: string): number {
  const value = row?.[column]
  return Number.isSafeInteger(value) ? Number(value) : broken(column)
}

export function textOf(row: Row, column: string): string {
  const value = row?.[column]
  return typeof value === 'string' ? value : broken(column)
}

export function bytesOf(row: Row, column: string): Buffer {
  const value = row?.[column]
  if (!(value instanceof Uint8Array)) return broken(column)
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}

/** Of the table tasks, `last_seq` beside its columns. @throws MeshError MESH_TASK_STORE_CORRUPT */
export function recordOf(row: Row): TaskRecord {
  return Object.freeze({
    caller: textOf(row, 'caller'),
    id: textOf(row, 'id'),
    number: integerOf(row, 'number'),
    idempotencyKey: orNull(row, 'idempotency_key', textOf),
    contentHash: textOf(row, 'content_hash'),
    skill: textOf(row, 'skill'),
    labels: labelsOf(row),
    detached: integerOf(row, 'detached') === 1,
    tree: orNull(row, 'tree', textOf),
    deadlineMs: orNull(row, 'deadline_ms', integerOf),
    createdMs: integerOf(row, 'created_ms'),
    updatedMs: integerOf(row, 'updated_ms'),
    endedMs: orNull(row, 'ended_ms', integerOf),
    state: stateOf(textOf(row, 'state')),
    lastSeq: integerOf(row, 'last_seq'),
    failure: orNull(row, 'failure', failureOf),
    inputs: inputsOf(row),
  })
}

export function againOf(row: Row): { beginning: Beginning; checkpoint: Checkpoint } {
  return {
    beginning: {
      request: bytesOf(row, 'request'),
      traceparent: orNull(row, 'traceparent', textOf),
      delegationToken: orNull(row, 'delegation_token', textOf),
    },
    checkpoint: {
      saved: orNull(row, 'saved', textOf),
      asked: integerOf(row, 'asked'),
      runs: integerOf(row, 'runs'),
    },
  }
}

function orNull<T>(row: Row, column: string, read: (row: Row, column: string) => T): T | null {
  return row?.[column] === null ? null : read(row, column)
}

function labelsOf(row: Row): Readonly<Record<string, string>> {
  const entries = Object.entries(objectOf(row, 'labels'))
  return Object.freeze(Object.fromEntries(entries.map(([key, value]) => [key, string(value)])))
}

function inputsOf(row: Row): readonly TaskInput[] {
  const list = jsonOf(row, 'inputs')
  if (!Array.isArray(list)) return broken('inputs')
  return Object.freeze(
    list.map((entry: unknown) => {
      const { id, answerHash, askedMs } = record(entry, 'inputs')
      return {
        id: string(id),
        answerHash: answerHash === null ? null : string(answerHash),
        ...(typeof askedMs === 'number' ? { askedMs } : {}),
      }
    }),
  )
}

function failureOf(row: Row): Failure {
  const { state, code, message, hint, retryable } = objectOf(row, 'failure')
  return {
    state: failedStateOf(state),
    ...{ code: string(code), message: string(message), retryable: retryable === true },
    ...(hint === undefined ? {} : { hint: string(hint) }),
  }
}

function stateOf(text: string): TaskState {
  return STATES.find((state) => state === text) ?? broken('state')
}

function failedStateOf(text: unknown): FailedState {
  return FAILED.find((state) => state === text) ?? broken('failure')
}

function objectOf(row: Row, column: string): Readonly<Record<string, unknown>> {
  return record(jsonOf(row, column), column)
}

function jsonOf(row: Row, column: string): unknown {
  try {
    return JSON.parse(textOf(row, column))
  } catch {
    return broken(column)
  }
}

function record(value: unknown, column: string): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
    ? Object.fromEntries(Object.entries(value))
    : broken(column)
}

function string(value: unknown): string {
  return typeof value === 'string' ? value : broken('a text')
}

function broken(column: string): never {
  throw new MeshError('MESH_TASK_STORE_CORRUPT', `a task of the store is unreadable: ${column}`)
}
