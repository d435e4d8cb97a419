/**
 * The calls, tunnels and answers that are open now, of one plane, so that what changes after they were let in still ends them.
 * One pass looks at them: at all when something has changed, by the clock alone otherwise. It works in slices, so that ten
 * thousand hold nobody up; one that is open costs a place in a list, and no timer. docs/discoveries/maps-keep-what-has-died.md
 */
import type { OpenRecord } from '../audit/open-record.ts'
import { createSlices } from '../process/slices.ts'
import { createDenseSet, type Member } from './dense-set.ts'

/** Of one that is open. Belongs to the registry. */
export interface Place extends Member {
  /** When it ends by itself, milliseconds since the epoch. */
  readonly endMs: number
  /** Of the registry, when it was looked at last. */
  epoch: number
  /** Written by the pass that finds that it has been open for so long. Default: none is. */
  readonly opening?: OpenRecord | undefined
}

export interface Registry<T extends Place> {
  readonly size: number
  /** Grows with each change: what was judged before is judged again. */
  readonly epoch: number
  add(place: T): void
  /** False when it was not there. */
  remove(place: T): boolean
  /** Each is looked at again, in slices, the first one at once. */
  changed(): void
  /** True while some wait to be looked at. */
  readonly due: boolean
  /** Looks at those that wait; to be paused at each `yield`. For other work that must not go on before. */
  look(): Generator<void, void>
  /** Does `more` as well, when it is due. */
  start(): void
  /** Once for each that is there now. */
  visit(look: (place: T) => void): void
  /** A list of its own, in no order. */
  all(): T[]
  close(): void
}

export interface RegistryOptions<T extends Place> {
  /** Judges a place, and ends what may not go on. @param expired its end has come */
  readonly look: (place: T, expired: boolean) => void
  /** Work that is done when all have been looked at. Default none. */
  readonly more?: { due(): boolean; run(): Generator<void, void> }
  /** Called with each look at the clock. */
  readonly onSweep?: () => void
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** How often the clock is looked at, in milliseconds. Default 250. */
  readonly sweepMs?: number
  /** What slices are measured by, monotonic, in milliseconds. Default the system's. */
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
      // one that was just ended has a record already
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
  // one timer for all: none of them is to pay for one of its own
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
