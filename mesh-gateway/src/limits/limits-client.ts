/**
 * Limits and budgets that another process of this machine counts. The questions of one turn of the event loop go out as
 * one message: a message for each would cost more than the request that it is about. Without an answer in time nothing
 * is let through.
 */
import { MeshError } from '@clawmesh/proto'
import { treesFull } from './budgets.ts'
import { type Release, releaseOnce } from './limits.ts'
import type { Answer, Question } from './limits-server.ts'
import type { Counting } from './open-limits.ts'

export interface LimitsClientOptions {
  /** False when nobody is there to ask any more. */
  readonly send: (questions: readonly Question[]) => boolean
  /** How long a question waits for its answer, in milliseconds. Default 1000. */
  readonly timeoutMs?: number
  /** Questions that may wait; more are refused at once. Default 20,000. */
  readonly maxWaiting?: number
}

export interface LimitsClient extends Counting {
  answered(answers: readonly Answer[]): void
  /** Nobody answers any more. */
  close(): void
}

interface Waiting {
  readonly id: number
  readonly at: number
  readonly settle: (answer: Answer) => void
  readonly fail: (error: unknown) => void
}

export function createLimitsClient(options: LimitsClientOptions): LimitsClient {
  const { send, timeoutMs = 1000, maxWaiting = 20_000 } = options
  // places and no Map: docs/discoveries/maps-keep-what-has-died.md
  const waiting: (Waiting | null)[] = []
  const free: number[] = []
  let gathered: Question[] = []
  let asked = 0
  let closed = false
  let clock: NodeJS.Timeout | null = null

  function post(question: Question): void {
    gathered.push(question)
    if (gathered.length === 1) setImmediate(flush)
  }

  function flush(): void {
    const questions = gathered
    gathered = []
    if (!closed && !send(questions)) close()
  }

  function ask(question: (id: number) => Question): Promise<Answer> {
    const place = free.pop() ?? waiting.length
    if (closed || place >= maxWaiting) return Promise.reject(unavailable())
    asked += 1
    const id = asked * maxWaiting + place
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    waiting[place] = { id, at: performance.now(), settle: resolve, fail: reject }
    post(question(id))
    clock ??= setTimeout(look, timeoutMs)
    return promise
  }

  /** Null when it waits no more. */
  function take(id: number): Waiting | null {
    const place = id % maxWaiting
    const one = waiting[place] ?? null
    if (one?.id !== id) return null
    waiting[place] = null
    free.push(place)
    return one
  }

  /** An answer that is here already and was not read yet, since this process was busy, comes before the end of the turn. */
  function look(): void {
    clock = null
    setImmediate(() => {
      const now = performance.now()
      let nextMs = Number.POSITIVE_INFINITY
      for (const one of waiting) {
        if (one === null) continue
        const leftMs = timeoutMs - (now - one.at)
        if (leftMs <= 0) take(one.id)?.fail(unavailable())
        else nextMs = Math.min(nextMs, leftMs)
      }
      if (nextMs <= timeoutMs) clock ??= setTimeout(look, nextMs)
    })
  }

  function close(): void {
    closed = true
    if (clock !== null) clearTimeout(clock)
    for (const one of waiting) if (one !== null) take(one.id)?.fail(unavailable())
  }

  function leaving(place: number): Release {
    return releaseOnce(() => post(['leave', place]))
  }

  return {
    limits: {
      async take(key, perMinute, burst) {
        const [, waitMs] = await ask((id) => ['take', id, key, perMinute, burst])
        if (waitMs === null || typeof waitMs === 'number') return waitMs
        throw unavailable()
      },
      async enter(key, max) {
        const answer = await ask((id) => ['enter', id, key, max])
        return answer[1] === 'in' ? leaving(answer[2]) : null
      },
    },
    budgets: {
      async spend(txn, max, tenant) {
        const [, within] = await ask((id) => ['spend', id, txn, max, tenant])
        if (within === null) throw treesFull()
        return within === true
      },
    },
    answered(answers) {
      for (const answer of answers) {
        const one = take(answer[0])
        // too late: who asked was refused, so what was granted is given back
        if (one === null && answer[1] === 'in') post(['leave', answer[2]])
        one?.settle(answer)
      }
    },
    close,
  }
}

function unavailable(): MeshError {
  return new MeshError('MESH_LIMIT_UNAVAILABLE', undefined, {
    hint: 'try again; for the operator: the supervisor that counts for all workers does not answer',
    retryAfterMs: 1_000,
  })
}
