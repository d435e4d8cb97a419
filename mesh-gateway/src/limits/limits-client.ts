/**
 * Limits over IPC, the client: limits and budgets that another process of this machine counts. All questions of one
 * turn of the event loop form one message: a message each would cost more than the request itself. Fails closed:
 * without an answer in time, nothing is admitted.
 */
import { MeshError } from '@clawmesh/proto'
import { treesFull } from './budgets.ts'
import { type Release, releaseOnce } from './limits.ts'
import type { Answer, Question } from './limits-server.ts'
import type { Counting } from './open-limits.ts'

export interface LimitsClientOptions {
  /** False when the other process is gone. */
  readonly send: (questions: readonly Question[]) => boolean
  /** Timeout of one question, in milliseconds. Default 1000. */
  readonly timeoutMs?: number
  /** Maximum waiting questions; more are refused at once. Default 20,000. */
  readonly maxWaiting?: number
}

export interface LimitsClient extends Counting {
  answered(answers: readonly Answer[]): void
  /** Refuses all waiting questions: no answers will come. */
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
        // too late: the request was refused, so its permit is given back
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
  // an array of places, not a Map: docs/discoveries/maps-keep-what-has-died.md
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

  /** Null when it no longer waits. */
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

  /** Looks for timeouts after the turn, since a busy process may have an answer that it has not read yet. */
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
