/** The last good value of a followed file, the outcome of the latest reload, and the listeners for both. */
import type { Log } from '../log.ts'
import { isUnanswered } from './file-fault.ts'
import { createListeners } from './listeners.ts'

/** What the log says. */
export interface FollowWords<T> {
  /** @param after what the last attempt failed with; null when none did */
  reloaded(value: T, after: unknown): void
  /** Said once of each problem. */
  kept(error: unknown, value: T): void
  /** The files are good again, and what they were. */
  recovered(value: T): void
}

/** How an attempt to load went. */
export interface FollowOutcome {
  readonly ok: boolean
  readonly at: Date
  /** Why the last good value was kept; null when ok. */
  readonly error: unknown
}

export interface LastGoodOptions<T> {
  readonly value: T
  /** Of the content that the value was made of. */
  readonly digest: string
  /** For messages. */
  readonly what: string
  readonly log: Log
  /** Undefined: the usual ones. */
  readonly say: FollowWords<T> | undefined
  readonly now: () => number
}

export interface LastGood<T> {
  current(): T
  generation(): number
  lastReload(): FollowOutcome
  onChange(listener: (value: T) => void): () => void
  onReload(listener: (outcome: FollowOutcome) => void): () => void
  /** Whether a content is that in use. */
  is(digest: string): boolean
  replace(next: T, digest: string): void
  /** What is on disk is what is in use. */
  confirm(): void
  /** What is on disk cannot be used. */
  keep(error: unknown, digest: string): void
  /** From now on the value does not change and no listener is called. */
  close(): void
}

export function createLastGood<T>(options: LastGoodOptions<T>): LastGood<T> {
  const { what, log, now } = options
  let { value, digest: good } = options
  let generation = 1
  /** What failed last, so that it is said once. */
  let problem: string | null = null
  let outcome: FollowOutcome = Object.freeze({ ok: true, at: new Date(now()), error: null })
  let closed = false
  const say = options.say ?? words(what, log, () => generation)
  const failed = (err: unknown) => log.error({ err }, `a listener to ${what} failed`)
  const changes = createListeners<T>(failed)
  const reloads = createListeners<FollowOutcome>(failed)

  function report(error: unknown): void {
    outcome = Object.freeze({ ok: error === null, at: new Date(now()), error })
    reloads.tell(outcome)
  }

  return {
    current: () => value,
    generation: () => generation,
    lastReload: () => outcome,
    onChange: changes.add,
    onReload: reloads.add,
    is: (digest) => digest === good,
    replace(next, digest) {
      if (closed) return
      value = next
      good = digest
      generation += 1
      problem = null
      say.reloaded(value, outcome.error)
      changes.tell(value)
      report(null)
    },
    confirm() {
      if (closed || problem === null) return
      problem = null
      say.recovered(value)
      report(null)
    },
    keep(error, digest) {
      // whichever file it is that the disk does not give
      const seen = isUnanswered(error) ? 'NO_ANSWER' : `${digest} ${String(error)}`
      if (closed || seen === problem) return
      problem = seen
      say.kept(error, value)
      report(error)
    },
    close() {
      closed = true
      changes.clear()
      reloads.clear()
    },
  }
}

function words<T>(what: string, log: Log, generation: () => number): FollowWords<T> {
  const fields = () => ({ what, generation: generation() })
  return {
    reloaded: (_, after) =>
      log.info(
        fields(),
        after === null ? `${what}: reloaded` : `${what}: good again, and reloaded`,
      ),
    kept: (err) => log.warn({ ...fields(), err }, `${what}: not reloaded, the last good one stays`),
    recovered: () => log.info(fields(), `${what}: good again, and the same`),
  }
}
