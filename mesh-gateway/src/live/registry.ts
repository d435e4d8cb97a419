/**
 * The registry of what is open on one plane: calls, tunnels and answers, so that a later change can end them. One pass
 * judges them: all of them after a change, else the expired ones. It works in slices, so that ten thousand of them
 * delay nothing; each costs a place in a list, and no timer. docs/discoveries/maps-keep-what-has-died.md
 */
import type { AuditRecord } from '../audit/audit-record.ts'
import type { OpenRecord } from '../audit/open-record.ts'
import { createSlices } from '../process/slices.ts'
import { createDenseSet, type Member } from './dense-set.ts'

/** The entry of one open call, tunnel or answer. */
export interface Place extends Member {
  /** When it expires, milliseconds since the epoch. */
  readonly endMs: number
  /** The registry's epoch when it was last judged. */
  epoch: number
  /** Its opening record, which the pass writes when it has been open for long. Default: none. */
  readonly opening?: OpenRecord | undefined
}

export interface Registry<T extends Place> {
  readonly size: number
  /** Grows with each change: entries judged before it are judged again. */
  readonly epoch: number
  add(place: T): void
  /** False when it was not there. */
  remove(place: T): boolean
  /** Judges all again, in slices, the first slice at once. */
  changed(): void
  /** True while entries wait to be judged. */
  readonly due: boolean
  /** Judges the waiting entries, with a pause at each `yield`. For other work that must come after it. */
  look(): Generator<void, void>
  /** Also runs `more`, when it is due. */
  start(): void
  /** Calls `look` once for each present entry. */
  visit(look: (place: T) => void): void
  /** A copy, in no order. */
  all(): T[]
  close(): void
}

/** What is open on one plane: the number, and the records as they stand now. */
export interface OpenWork {
  readonly count: number
  readonly records: readonly AuditRecord[]
}

export interface RegistryOptions<T extends Place> {
  /** Judges an entry, and ends what may not go on. @param expired its end has come */
  readonly look: (place: T, expired: boolean) => void
  /** Work that runs when all entries have been judged. Default: none. */
  readonly more?: { due(): boolean; run(): Generator<void, void> }
  /** Called with each sweep of the clock. */
  readonly onSweep?: () => void
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** How often expired entries are looked for, in milliseconds. Default 250. */
  readonly sweepMs?: number
  /** The monotonic clock for slices, in milliseconds. Default: the system's. */
  readonly monotonic?: () => number
}

export function createRegistry<T extends Place>(options: RegistryOptions<T>): Registry<T> {
  const { now, more, onSweep, sweepMs = 250, monotonic } = options
  const places = createDenseSet<T>()
  let epoch = 0
  let due = false
  let sweeper: NodeJS.Timeout | null = null

  function* look() {
    due = false
    const nowMs = now()
    const monotonicMs = performance.now()
    yield* places.walk((place) => {
      const expired = nowMs >= place.endMs
      const { opening } = place
      const long = opening !== undefined && monotonicMs >= opening.dueMs
      if (place.epoch === epoch && !expired && !long) return false
      if (place.epoch !== epoch || expired) {
        place.epoch = epoch
        options.look(place, expired)
      }
      // an entry that was just ended already has its record
      if (long && place.index >= 0) opening.write()
      return true
    })
  }
  function* work() {
    while (due || more?.due() === true) {
      if (due) yield* look()
      else if (more !== undefined) yield* more.run()
    }
  }
  const slices = createSlices({ work, ...(monotonic === undefined ? {} : { now: monotonic }) })
  const stop = () => {
    if (sweeper !== null) clearInterval(sweeper)
    sweeper = null
  }
  // one timer for all: a timer for each would cost more
  const sweep = () => {
    due = true
    onSweep?.()
    slices.start()
    if (places.size === 0) stop()
  }
  return {
    get size() {
      return places.size
    },
    get epoch() {
      return epoch
    },
    get due() {
      return due
    },
    add(place) {
      places.add(place)
      sweeper ??= setInterval(sweep, sweepMs).unref()
    },
    remove: (place) => places.remove(place),
    changed() {
      epoch += 1
      due = true
      slices.start()
    },
    look,
    start: () => slices.start(),
    visit: (each) => places.visit(each),
    all: () => places.all(),
    close() {
      stop()
      places.visit((place) => places.remove(place))
    },
  }
}

/** The records of what is open, as they stand now. For an operator that asks. @param most how many */
export function openRecordsOf<T extends Place>(
  places: Pick<Registry<T>, 'all'>,
  most: number,
): readonly AuditRecord[] {
  const records: AuditRecord[] = []
  for (const { opening } of places.all()) {
    if (records.length >= most) break
    if (opening !== undefined) records.push(opening.facts())
  }
  return records
}
