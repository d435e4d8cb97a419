/** One task that runs on a store in memory, for tests of what stands around it. */
import { createMemoryTaskStore } from '@clawmesh/agent-sdk'
import type { NewTask, TaskStore } from '../../../agent-sdk/src/model/task-store.ts'
import { createLiveTask } from '../../../agent-sdk/src/tasks/live-task.ts'
import { decodeEvent, type IncomingBody } from '../../../agent-sdk/src/wire/event-codec.ts'
import { messages } from '../../../agent-sdk/src/wire/messages.ts'

export const CALLER = 'spiffe://mesh.internal/tenant/acme/agent/a'
export const GRACE_MS = 1_000
/** The time of all that happens to it, until a test sets another one. */
export const START_MS = 1_000_000

export interface OneTaskOptions {
  readonly task?: Partial<NewTask>
  /** Stands before the store. */
  readonly store?: (inner: TaskStore) => TaskStore
}

export function startOneTask({ task, store: wrap = (inner) => inner }: OneTaskOptions = {}) {
  const clock = { ms: START_MS }
  const store = wrap(createMemoryTaskStore({ now: () => clock.ms }))
  const record = store.create({
    ...{ caller: CALLER, id: 'one', idempotencyKey: null, contentHash: 'h', skill: 's' },
    ...{ labels: {}, detached: false, tree: null, deadlineMs: null, createdMs: clock.ms },
    ...{ inputBytes: 0, beginning: null },
    ...task,
  })
  const ends: number[] = []
  const live = createLiveTask({
    ...{ store, record, orphanGraceMs: GRACE_MS, now: () => clock.ms },
    onEnd: () => void ends.push(clock.ms),
  })
  return {
    ...{ clock, store, live },
    /** When it ended. */
    ends,
    /** All that it has told. */
    told(): IncomingBody[] {
      const bodies: IncomingBody[] = []
      for (let seq = 0; ; seq += 1) {
        const event = store.eventAfter(CALLER, 'one', seq)
        if (event === null) return bodies
        bodies.push(decodeEvent(messages.event.deserialize(event.bytes)).body)
      }
    },
  }
}
