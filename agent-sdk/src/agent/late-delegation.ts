/** The handle of a task that is given away as soon as its agent has an identity. */
import { parseTraceparent } from '@clawmesh/proto'
import type { Delegation } from '../client/delegation.ts'
import type { TaskEvent } from '../model/task-event.ts'

export interface LateDelegationOptions {
  readonly id: string
  /** As it was asked for: the full name is known with the identity. */
  readonly peer: string
  /** Under which it is given away. */
  readonly traceparent: string
  /** @throws what keeps it from being made */
  readonly made: Promise<Delegation>
}

export function createLateDelegation(options: LateDelegationOptions): Delegation {
  const { id, peer, traceparent, made } = options
  let delegation: Delegation | null = null
  void made.then(
    (handle) => {
      delegation = handle
    },
    // whoever asks for the result gets it
    () => {},
  )
  async function* events(): AsyncGenerator<TaskEvent, void, void> {
    yield* await made
  }
  return Object.freeze({
    get id() {
      return delegation?.id ?? id
    },
    get peer() {
      return delegation?.peer ?? peer
    },
    traceId: parseTraceparent(traceparent)?.traceId ?? '',
    get rootId() {
      return delegation?.rootId ?? null
    },
    result: async () => (await made).result(),
    sendInput: async (...given: Parameters<Delegation['sendInput']>) =>
      (await made).sendInput(...given),
    cancel: async (reason?: string) => (await made).cancel(reason),
    [Symbol.asyncIterator]: events,
  })
}
