/**
 * Follows files: reads them whole, proves what they say, swaps one value, tells the listeners. When a step fails, or the disk
 * does not answer, the last good value stays and is warned of once. Watching finds changes soon; polling finds them all.
 */
import { type Log, silentLog } from '../log.ts'
import { createDisk, type Disk } from './disk.ts'
import { createHint } from './hint.ts'
import { createLastGood, type FollowOutcome, type FollowWords } from './last-good.ts'
import type { TrailStart } from './link-trail.ts'
import { createPatience } from './patience.ts'
import { singleFlight } from './single-flight.ts'
import { createTrailWatcher } from './watch-trail.ts'

export type { FollowOutcome, FollowWords } from './last-good.ts'

/** What was found on disk, not judged yet. */
export interface Found<T> {
  /** Equal when and only when the content is. */
  readonly digest: string
  /** Throws when the content is not good. A proof takes time, e.g. a handshake. */
  parse(): T | Promise<T>
}

/** What is judged at once. */
export interface FoundNow<T> extends Found<T> {
  parse(): T
}

export interface FollowOptions<T> extends TrailStart {
  /** For messages, e.g. `the identity`. */
  readonly what: string
  /** Reads the files, with what bounds each question to the disk. */
  read(disk: Disk): Promise<Found<T>>
  /**
   * Whether files that are half written could pass. `proof`: never, `parse` refuses them. `twice`: they could, so that a change is
   * believed when two readings agree, `debounceMs` apart. Default `proof`.
   */
  readonly settle?: 'proof' | 'twice'
  /** How often the files are read and compared, whatever the watching says, in milliseconds. Default 10,000. */
  readonly pollMs?: number | undefined
  /** How long to wait for a burst of changes to end, in milliseconds. Default 150. */
  readonly debounceMs?: number | undefined
  /** How long one reading, and one proof, may take, in milliseconds. Default 15,000. */
  readonly timeoutMs?: number | undefined
  /** Shared by all that follow files in a process, so that together they wait for few. Default: its own. */
  readonly disk?: Disk | undefined
  readonly log?: Log
  /** Other words for the log. */
  readonly say?: FollowWords<T>
  /** Milliseconds since the epoch. Default: now. */
  readonly now?: () => number
}

export interface Followed<T> {
  /** The last good value; never none. */
  current(): T
  /** 1 for the first; grows by one with each change taken over. */
  generation(): number
  /** Reads now. True when what is on disk is what is in use. Never rejects. */
  reload(): Promise<boolean>
  lastReload(): FollowOutcome
  /** Called after each swap. Returns what ends it. */
  onChange(listener: (value: T) => void): () => void
  /** Called when an attempt ended in another way than the one before, or with another value. Returns what ends it. */
  onReload(listener: (outcome: FollowOutcome) => void): () => void
  close(): Promise<void>
}

/** Content that never holds still is judged all the same after so many readings. */
const MAX_UNSETTLED = 10

/** @throws what `read` or `parse` throws the first time: there is no last good value yet; TypeError for an option that makes no sense */
export async function followFiles<T>(options: FollowOptions<T>): Promise<Followed<T>> {
  const { what, log = silentLog, disk = createDisk(), now = Date.now, say } = options
  const pollMs = positive('pollMs', options.pollMs ?? 10_000)
  const debounceMs = positive('debounceMs', options.debounceMs ?? 150)
  const timeoutMs = positive('timeoutMs', options.timeoutMs ?? 15_000)
  const patience = createPatience(what, timeoutMs)
  const read = () => patience.waitFor(() => options.read(disk))
  const prove = (found: Found<T>) => patience.waitFor(async () => found.parse())

  const first = await read()
  const { digest } = first
  const last = createLastGood<T>({ value: await prove(first), digest, what, log, say, now })
  let closed = false

  const settled = () =>
    options.settle === 'twice' ? readTwice(read, last.is, () => patience.pause(debounceMs)) : read()

  async function attempt(): Promise<boolean> {
    let digest = ''
    try {
      const found = await settled()
      digest = found.digest
      if (last.is(digest)) last.confirm()
      else last.replace(await prove(found), digest)
      return true
    } catch (error) {
      // what is let go of because it is closed is no problem of the files
      if (!closed) last.keep(error, digest)
      return false
    }
  }

  const watcher = createTrailWatcher({
    start: options,
    walk: (work) => patience.waitFor(work),
    disk,
    onHint: () => hint.give(),
    onError: (error) => log.debug({ what, err: error }, 'watching failed; polling goes on'),
  })
  let hinted = false
  const reload = singleFlight(async () => {
    if (closed) return false
    const before = last.lastReload()
    const asked = hinted
    hinted = false
    const ok = await attempt()
    // where the links lead now, when something has changed, and now and then in any case
    if (!closed) await watcher.follow(asked || last.lastReload() !== before)
    return ok
  })
  const hint = createHint(debounceMs, () => {
    hinted = true
    void reload.now()
  })
  await watcher.follow(true)
  const poll = setInterval(() => reload.unlessRunning(), pollMs).unref()

  return Object.freeze({
    current: last.current,
    generation: last.generation,
    reload: reload.now,
    lastReload: last.lastReload,
    onChange: last.onChange,
    onReload: last.onReload,
    async close() {
      closed = true
      clearInterval(poll)
      hint.close()
      last.close()
      watcher.close()
      patience.end()
      await reload.idle()
    },
  })
}

/** What two readings agree on, where one alone proves nothing; what is in use already needs one. */
async function readTwice<T>(
  read: () => Promise<Found<T>>,
  isInUse: (digest: string) => boolean,
  pause: () => Promise<void>,
): Promise<Found<T>> {
  let found = await read()
  for (let readings = 1; readings < MAX_UNSETTLED && !isInUse(found.digest); readings += 1) {
    await pause()
    const again = await read()
    if (again.digest === found.digest) return again
    found = again
  }
  return found
}

function positive(option: string, value: number): number {
  if (Number.isFinite(value) && value > 0) return value
  throw new TypeError(`${option}: must be a positive number of milliseconds`)
}
