/** Task states to the wire and back: `input-required` is TASK_STATE_INPUT_REQUIRED there. */
import type { FailedState, TaskState } from '../model/task-event.ts'

const NAMES: Readonly<Record<TaskState, string>> = Object.freeze({
  submitted: 'TASK_STATE_SUBMITTED',
  working: 'TASK_STATE_WORKING',
  'input-required': 'TASK_STATE_INPUT_REQUIRED',
  'auth-required': 'TASK_STATE_AUTH_REQUIRED',
  completed: 'TASK_STATE_COMPLETED',
  failed: 'TASK_STATE_FAILED',
  canceled: 'TASK_STATE_CANCELED',
  rejected: 'TASK_STATE_REJECTED',
  expired: 'TASK_STATE_EXPIRED',
  orphaned: 'TASK_STATE_ORPHANED',
})

const STATES: ReadonlyMap<string | number, TaskState> = new Map(
  Object.entries(NAMES).map(([state, name]) => [name, state as TaskState]),
)

export function encodeState(state: TaskState): string {
  return NAMES[state]
}

/** A state that a newer peer may know and we do not reads as working: the task has not ended, or a result or failure says so. */
export function decodeState(state: string | number): TaskState {
  return STATES.get(state) ?? 'working'
}

/** Null for a state that we do not know. */
export function decodeKnownState(state: string | number): TaskState | null {
  return STATES.get(state) ?? null
}

/** The state of a failure; anything else than one of them reads as failed. */
export function decodeFailedState(state: string | number): FailedState {
  const known = STATES.get(state)
  return known === 'canceled' || known === 'rejected' || known === 'expired' || known === 'orphaned'
    ? known
    : 'failed'
}
