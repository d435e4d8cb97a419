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
  const questions = new OpenQuestions(options)

  function leaving(place: number): Release {
    return releaseOnce(() => questions.post(['leave', place]))
  }

  return {
    limits: {
      async take(key, perMinute, burst) {
        const [, waitMs] = await questions.ask((id) => ['take', id, key, perMinute, burst])
        if (waitMs === null || typeof waitMs === 'number') return waitMs
        throw unavailable()
      },
      async enter(key, max) {
        const answer = await questions.ask((id) => ['enter', id, key, max])
        return answer[1] === 'in' ? leaving(answer[2]) : null
      },
    },
    budgets: {
      async spend(txn, max, tenant) {
        const [, within] = await questions.ask((id) => ['spend', id, txn, max, tenant])
        if (within === null) throw treesFull()
        return within === true
      },
    },
    answered(answers) {
      for (const answer of answers) {
        const one = questions.take(answer[0])
        // too late: who asked was refused, so what was granted is given back
        if (one === null && answer[1] === 'in') questions.post(['leave', answer[2]])
        one?.settle(answer)
      }
    },
    close: () => questions.close(),
  }
}

/** What was asked and is not answered yet. */
class OpenQuestions {
  readonly #send: LimitsClientOptions['send']
  readonly #timeoutMs: number
  readonly #maxWaiting: number
  // places and no Map: docs/discoveries/maps-keep-what-has-died.md
  readonly #waiting: (Waiting | null)[] = []
  readonly #free: number[] = []
  readonly #flush = () => this.#sendGathered()
  #gathered: Question[] = []
  #asked = 0
  #closed = false
  #clock: NodeJS.Timeout | null = null

  constructor({ send, timeoutMs = 1000, maxWaiting = 20_000 }: LimitsClientOptions) {
    this.#send = send
    this.#timeoutMs = timeoutMs
    this.#maxWaiting = maxWaiting
  }

  /** Goes out at the end of this turn of the event loop. */
  post(question: Question): void {
    this.#gathered.push(question)
    if (this.#gathered.length === 1) setImmediate(this.#flush)
  }

  ask(question: (id: number) => Question): Promise<Answer> {
    const place = this.#free.pop() ?? this.#waiting.length
    if (this.#closed || place >= this.#maxWaiting) return Promise.reject(unavailable())
    this.#asked += 1
    const id = this.#asked * this.#maxWaiting + place
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    this.#waiting[place] = { id, at: performance.now(), settle: resolve, fail: reject }
    this.post(question(id))
    this.#clock ??= setTimeout(() => this.#look(), this.#timeoutMs)
    return promise
  }

  /** Null when it waits no more. */
  take(id: number): Waiting | null {
    const place = id % this.#maxWaiting
    const one = this.#waiting[place] ?? null
    if (one?.id !== id) return null
    this.#waiting[place] = null
    this.#free.push(place)
    return one
  }

  close(): void {
    this.#closed = true
    if (this.#clock !== null) clearTimeout(this.#clock)
    for (const one of this.#waiting) if (one !== null) this.take(one.id)?.fail(unavailable())
  }

  #sendGathered(): void {
    const questions = this.#gathered
    this.#gathered = []
    if (!this.#closed && !this.#send(questions)) this.close()
  }

  /** An answer that is here already and was not read yet, since this process was busy, comes before the end of the turn. */
  #look(): void {
    this.#clock = null
    setImmediate(() => this.#failOverdue())
  }

  #failOverdue(): void {
    const now = performance.now()
    let nextMs = Number.POSITIVE_INFINITY
    for (const one of this.#waiting) {
      if (one === null) continue
      const leftMs = this.#timeoutMs - (now - one.at)
      if (leftMs <= 0) this.take(one.id)?.fail(unavailable())
      else nextMs = Math.min(nextMs, leftMs)
    }
    if (nextMs <= this.#timeoutMs) this.#clock ??= setTimeout(() => this.#look(), nextMs)
  }
}

function unavailable(): MeshError {
  return new MeshError('MESH_LIMIT_UNAVAILABLE', undefined, {
    hint: 'try again; for the operator: the supervisor that counts for all workers does not answer',
    retryAfterMs: 1_000,
  })
}
