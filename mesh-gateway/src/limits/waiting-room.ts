/**
 * Lets no more than so many in at once; who comes next waits, first come first served, until there is room or no more
 * time. Waiting is for a bounded number: a queue that only grows helps nobody.
 */
import { MeshError } from '@clawmesh/proto'
import type { Leave, Limits, MaybePromise } from './limits.ts'

export interface Room {
  /** What is counted, for the message: `delegations to researcher.acme`. */
  readonly what: string
  readonly most: number
  /** How many may wait. */
  readonly queueLength: number
  /** How long each may wait, in milliseconds. */
  readonly queueMs: number
}

export interface WaitingRoom {
  /**
   * At once when there is room and nobody waits.
   * @param gone aborts when whoever waits has gone
   * @throws MeshError MESH_LIMIT_CONCURRENCY
   */
  enter(key: string, room: Room, gone: AbortSignal): MaybePromise<Leave>
}

interface Waiter {
  readonly admit: (leave: Leave) => void
  readonly refuse: (error: unknown) => void
  over: boolean
}

interface Queue {
  readonly waiting: Waiter[]
  letting: boolean
  timer: NodeJS.Timeout | undefined
  most: number
}

/** Another gateway tells nobody when it has made room. */
const LOOK_MS = 100

export function createWaitingRoom(limits: Limits): WaitingRoom {
  const queues = new Map<string, Queue>()

  function enter(key: string, room: Room, gone: AbortSignal): MaybePromise<Leave> {
    const queue = queues.get(key)
    if (queue !== undefined) {
      queue.most = room.most
      return wait(key, queue, room, gone)
    }
    const leave = limits.enter(key, room.most)
    if (leave instanceof Promise)
      return leave.then((entered) =>
        entered === null ? wait(key, queueOf(key, room), room, gone) : waking(key, entered),
      )
    return leave === null ? wait(key, queueOf(key, room), room, gone) : waking(key, leave)
  }

  function queueOf(key: string, { most }: Room): Queue {
    const known = queues.get(key)
    if (known !== undefined) return known
    const fresh: Queue = { waiting: [], letting: false, timer: undefined, most }
    queues.set(key, fresh)
    return fresh
  }

  function waking(key: string, leave: Leave): Leave {
    return () => {
      leave()
      void letIn(key)
    }
  }

  function wait(key: string, queue: Queue, room: Room, gone: AbortSignal): Promise<Leave> {
    const full = (message: string) =>
      new MeshError('MESH_LIMIT_CONCURRENCY', message, {
        hint: 'try again later, or give it a longer deadline',
        retryAfterMs: 1_000,
      })
    const { most, what, queueLength, queueMs } = room
    if (queue.waiting.length >= queueLength) {
      drop(key, queue)
      return Promise.reject(
        full(`${most} ${what} at once are allowed, and ${queueLength} wait already`),
      )
    }
    const { promise, resolve, reject } = Promise.withResolvers<Leave>()
    const waiter: Waiter = { admit: resolve, refuse: reject, over: false }
    const end = (error: unknown) => {
      if (waiter.over) return
      waiter.over = true
      queue.waiting.splice(queue.waiting.indexOf(waiter), 1)
      drop(key, queue)
      reject(error)
    }
    const clock = setTimeout(
      () => end(full(`${most} ${what} at once are allowed; there was no room for ${queueMs} ms`)),
      queueMs,
    )
    const onGone = () => end(new MeshError('MESH_CALL_CANCELED'))
    gone.addEventListener('abort', onGone, { once: true })
    queue.waiting.push(waiter)
    if (gone.aborted) onGone()
    look(key, queue)
    return promise.finally(() => {
      clearTimeout(clock)
      gone.removeEventListener('abort', onGone)
    })
  }

  function look(key: string, queue: Queue): void {
    clearTimeout(queue.timer)
    if (queue.waiting.length > 0) queue.timer = setTimeout(() => void letIn(key), LOOK_MS)
  }

  async function letIn(key: string): Promise<void> {
    const queue = queues.get(key)
    if (queue === undefined || queue.letting) return
    queue.letting = true
    try {
      for (;;) {
        if (queue.waiting.length === 0) break
        const entered = limits.enter(key, queue.most)
        const leave = entered instanceof Promise ? await entered : entered
        if (leave === null) break
        const next = queue.waiting.shift()
        if (next === undefined) {
          // all have gone while it was asked for
          leave()
          break
        }
        next.over = true
        next.admit(waking(key, leave))
      }
    } catch (error) {
      // limits cannot be judged: nobody waits for that
      for (const waiter of queue.waiting.splice(0)) {
        waiter.over = true
        waiter.refuse(error)
      }
    } finally {
      queue.letting = false
      look(key, queue)
      drop(key, queue)
    }
  }

  function drop(key: string, queue: Queue): void {
    if (queue.waiting.length > 0 || queue.letting) return
    clearTimeout(queue.timer)
    if (queues.get(key) === queue) queues.delete(key)
  }

  return { enter }
}
