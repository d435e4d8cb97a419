/**
 * Limits concurrency with a queue: over the limit, callers wait for room until their timeout, in a fair order over
 * tenants and callers. Each tenant and each caller has a share of the running and of the waiting, so that none fills it
 * for others.
 */
import { MeshError } from '@clawmesh/proto'
import { FairQueue, type Place } from './fair-queue.ts'
import type { Limits, MaybePromise, Release } from './limits.ts'

export interface Room {
  /** What is counted, for messages: `tasks of acme/researcher`. */
  readonly what: string
  readonly most: number
  /** Maximum waiting. */
  readonly queueLength: number
  /** Maximum wait of each, in milliseconds. */
  readonly queueMs: number
}

export interface WaitingRoom {
  /**
   * Synchronous when there is room and no caller waits.
   * @param asker `<tenant>/<agent>`
   * @param gone aborts when the caller has left
   * @throws MeshError MESH_LIMIT_CONCURRENCY
   */
  enter(key: string, room: Room, asker: string, gone: AbortSignal): MaybePromise<Release>
}

interface Waiter {
  admit(release: Release): void
  refuse(error: unknown): void
}

interface Queue {
  readonly key: string
  /** By the current policy. */
  room: Room
  readonly fair: FairQueue<Waiter>
  letting: boolean
  timer: NodeJS.Timeout | undefined
}

/** Room made by another gateway is found by polling, in milliseconds. */
const LOOK_MS = 100

/** The share of one tenant, and of one caller, rounded up; zero of zero. */
function tenantPart(all: number): number {
  return Math.ceil((all * 3) / 4)
}
function callerPart(all: number): number {
  return Math.ceil(all / 2)
}

export function createWaitingRoom(limits: Limits): WaitingRoom {
  return new QueuesByKey(limits)
}

class QueuesByKey implements WaitingRoom {
  readonly #limits: Limits
  readonly #queues = new Map<string, Queue>()

  constructor(limits: Limits) {
    this.#limits = limits
  }

  enter(key: string, room: Room, asker: string, gone: AbortSignal): MaybePromise<Release> {
    const queue = this.#queueOf(key, room)
    const place = queue.fair.hasNext() ? null : queue.fair.enter(asker)
    if (place === null) return this.#wait(queue, asker, gone)
    const entered = (release: Release | null) => {
      if (release !== null) return this.#waking(queue, place, release)
      place.leave()
      return this.#wait(queue, asker, gone)
    }
    try {
      const granted = this.#limits.enter(key, room.most)
      if (!(granted instanceof Promise)) return entered(granted)
      return granted.then(entered, (error: unknown) => {
        place.leave()
        this.#drop(queue)
        throw error
      })
    } catch (error) {
      place.leave()
      this.#drop(queue)
      throw error
    }
  }

  #queueOf(key: string, room: Room): Queue {
    const known = this.#queues.get(key)
    if (known !== undefined) {
      known.room = room
      return known
    }
    const fresh = emptyQueue(key, room)
    this.#queues.set(key, fresh)
    return fresh
  }

  #waking(queue: Queue, place: Place, release: Release): Release {
    return () => {
      release()
      place.leave()
      void this.#letIn(queue)
    }
  }

  #wait(queue: Queue, asker: string, gone: AbortSignal): Promise<Release> {
    const { what, queueMs } = queue.room
    const { promise, resolve, reject } = Promise.withResolvers<Release>()
    const full = queue.fair.fullFor(asker)
    const queued = queue.fair.push(asker, { admit: resolve, refuse: reject })
    if (queued === null) {
      this.#drop(queue)
      const whose = full === 'all' ? '' : ` of this ${WHOSE[full ?? 'asker']}`
      return Promise.reject(
        fullError(`no more ${what} may be open now, and as many as may${whose} wait already`),
      )
    }
    const end = (error: unknown) => {
      if (!queued.remove()) return
      this.#drop(queue)
      reject(error)
    }
    const clock = setTimeout(
      () => end(fullError(`no more ${what} may be open now, and none has ended in time`)),
      queueMs,
    )
    const onGone = () => end(new MeshError('MESH_CALL_CANCELED'))
    gone.addEventListener('abort', onGone, { once: true })
    if (gone.aborted) onGone()
    this.#look(queue)
    return promise.finally(() => {
      clearTimeout(clock)
      gone.removeEventListener('abort', onGone)
    })
  }

  #look(queue: Queue): void {
    if (queue.fair.hasNext()) queue.timer ??= setTimeout(() => void this.#letIn(queue), LOOK_MS)
  }

  async #letIn(queue: Queue): Promise<void> {
    if (queue.letting) return
    queue.letting = true
    clearTimeout(queue.timer)
    queue.timer = undefined
    try {
      while (queue.fair.hasNext()) {
        const entered = this.#limits.enter(queue.key, queue.room.most)
        const release = entered instanceof Promise ? await entered : entered
        if (release === null) break
        const next = queue.fair.shift()
        // all waiting callers have left meanwhile
        if (next === null) release()
        else next.waiter.admit(this.#waking(queue, next.place, release))
      }
    } catch (error) {
      // limits are unavailable: refuse all waiting callers
      for (const waiter of queue.fair.clear()) waiter.refuse(error)
    } finally {
      queue.letting = false
      this.#look(queue)
      this.#drop(queue)
    }
  }

  #drop(queue: Queue): void {
    if (!queue.fair.empty || queue.letting) return
    clearTimeout(queue.timer)
    if (this.#queues.get(queue.key) === queue) this.#queues.delete(queue.key)
  }
}

function emptyQueue(key: string, room: Room): Queue {
  const fair = new FairQueue<Waiter>({
    // `limits` bounds the sum
    running: Number.POSITIVE_INFINITY,
    runningPerTenant: () => tenantPart(queue.room.most),
    runningPerAsker: () => callerPart(queue.room.most),
    get waiting() {
      return queue.room.queueLength
    },
    waitingPerTenant: () => tenantPart(queue.room.queueLength),
    waitingPerAsker: () => callerPart(queue.room.queueLength),
  })
  const queue: Queue = { key, room, fair, letting: false, timer: undefined }
  return queue
}

const WHOSE = Object.freeze({ asker: 'caller', tenant: 'tenant' })

/** Names no number: the limits belong to the policy of the callee's tenant. */
function fullError(message: string): MeshError {
  return new MeshError('MESH_LIMIT_CONCURRENCY', message, {
    hint: 'try again later, or give it a longer deadline',
    retryAfterMs: 1_000,
  })
}
