/**
 * Watches the memory that is left to this process: that of its container or unit, and the heap of V8. A process that
 * comes to the end of either is killed, with every call that it carries; so new work is refused before.
 */
import { getHeapStatistics } from 'node:v8'
import type { Log } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { type GroupMemory, openGroupMemory } from './group-memory.ts'
import { openCollector } from './release-memory.ts'

export interface MemoryWatch {
  /** Whether one more call or request is refused now, with the reason. @param served how many the port serves */
  overloaded(served: number): boolean
  /**
   * Whether new connections are closed and cancels refused now, too: a refusal with its reason takes memory as well.
   * @param open how many there are
   */
  exhausted(open: number): boolean
  /** Of the container or unit; null when the machine alone bounds it. */
  readonly limitBytes: number | null
  close(): void
}

export interface MemoryWatchOptions {
  readonly log: Pick<Log, 'info' | 'warn'>
  readonly metrics?: { overloaded(isOverloaded: boolean): void }
  /** Default: those of this process. */
  readonly group?: GroupMemory | null
  readonly heap?: () => { readonly used_heap_size: number; readonly heap_size_limit: number }
  /** Collects what is dead, at once. Default: all of it, and gives it back to the system. */
  readonly collect?: () => void
  /** The interval of readings, in milliseconds. Default 50. */
  readonly everyMs?: number
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
}

/** No limit, which is never reached. */
export const UNWATCHED_MEMORY: Omit<MemoryWatch, 'close'> = Object.freeze({
  overloaded: () => false,
  exhausted: () => false,
  limitBytes: null,
})

/** Shares of the limit, at which refusing begins and ends. Open calls need the rest. */
const GROUP = { from: 0.8, until: 0.75, exhausted: 0.9 } as const
/**
 * Allocators keep memory that nobody uses: after a crowd the rest of it may stay above these shares for ever. So refusing
 * begins this much above what a collection has left, and at the highest here, until less is in use again.
 */
const ABOVE_KEPT = { by: 0.05, most: 0.88 } as const
/**
 * A port serves so many calls, requests and tunnels, and has so many connections, whatever is in use. They hold next to
 * nothing of it: refusing them would give nothing back, and a gateway would refuse for ever.
 */
const ALWAYS = 8
/** V8 collects what is dead before its heap is full: more of it may be in use. */
const HEAP = { from: 0.9, until: 0.8, exhausted: 0.95 } as const

/**
 * V8 collects when something is allocated, and a gateway that refuses allocates little: what those that have gone left
 * behind would keep it above the bound for ever. So it collects by itself, in readings after the first one that is over,
 * each time after twice as many as before, because a collection stops the process. Of a large heap that takes seconds:
 * it runs for `rest` times as long before the next one, or agents that fill the memory again and again would stop it.
 */
const COLLECT = { first: 20, most: 200, rest: 10 } as const

/** Where memory hovers at a bound, each reading may be a change: the log has so many milliseconds between two lines. */
const TELL_MS = 1_000

const MIB = 1024 * 1024
/** The least that a gateway runs within, and each further process of it, in MiB. */
const LEAST_MIB = 128

export function watchMemory(options: MemoryWatchOptions): MemoryWatch {
  const { log, metrics, heap = getHeapStatistics, everyMs = 50 } = options
  const { now = () => performance.now() } = options
  const collecting = new Collecting(options.collect, now)
  const group = options.group === undefined ? openGroupMemory() : options.group
  const usedBytes = () => group?.usedBytes() ?? 0
  const limitBytes = group?.limitBytes ?? Number.POSITIVE_INFINITY
  let bounds: { readonly from: number; readonly until: number } = GROUP
  let overloaded = false
  let exhausted = false
  let told = { overloaded, atMs: Number.NEGATIVE_INFINITY }
  metrics?.overloaded(false)
  const look = () => {
    const { used_heap_size: used, heap_size_limit: most } = heap()
    const groupBytes = usedBytes()
    const share = groupBytes / limitBytes
    if (share < GROUP.until) bounds = GROUP
    const bound = overloaded ? 'until' : 'from'
    const isOver = share > bounds[bound] || used > most * HEAP[bound]
    if (collecting.afterReading(isOver)) bounds = boundsAbove(usedBytes() / limitBytes)
    exhausted = share > GROUP.exhausted || used > most * HEAP.exhausted
    if (isOver !== overloaded) metrics?.overloaded(isOver)
    overloaded = isOver
    if (isOver === told.overloaded || now() < told.atMs + TELL_MS) return
    told = { overloaded, atMs: now() }
    const fields = { heap_bytes: used, heap_limit_bytes: most, used_bytes: groupBytes }
    const limit = group === null ? {} : { limit_bytes: limitBytes }
    if (isOver) log.warn({ ...fields, ...limit }, 'memory is nearly used up: new work is refused')
    else log.info({ ...fields, ...limit }, 'there is memory again: new work is admitted')
  }
  const timer = setInterval(look, everyMs).unref()
  return {
    overloaded: (served) => overloaded && served >= ALWAYS,
    exhausted: (open) => exhausted && open >= ALWAYS,
    limitBytes: group?.limitBytes ?? null,
    close: () => clearInterval(timer),
  }
}

/** @param kept the share that is in use after a collection */
function boundsAbove(kept: number): { readonly from: number; readonly until: number } {
  const from = Math.max(GROUP.from, Math.min(kept + ABOVE_KEPT.by, ABOVE_KEPT.most))
  return { from, until: Math.max(GROUP.until, Math.min(from, (kept + from) / 2)) }
}

class Collecting {
  #collect: (() => void) | undefined
  readonly #now: () => number
  #wait: number = COLLECT.first
  #left: number = COLLECT.first
  #notBeforeMs = 0

  constructor(collect: (() => void) | undefined, now: () => number) {
    this.#collect = collect
    this.#now = now
  }

  /** Whether it has collected. */
  afterReading(isOver: boolean): boolean {
    if (!isOver) {
      this.#wait = this.#left = COLLECT.first
      return false
    }
    this.#left -= 1
    const beginMs = this.#now()
    if (this.#left > 0 || beginMs < this.#notBeforeMs) return false
    this.#wait = Math.min(this.#wait * 2, COLLECT.most)
    this.#left = this.#wait
    this.#collect ??= openCollector()
    this.#collect()
    const endMs = this.#now()
    this.#notBeforeMs = endMs + (endMs - beginMs) * COLLECT.rest
    return true
  }
}

/** The calls, requests and tunnels that a port serves now. */
export interface Serving {
  count: number
}

/** The refusal while it is overloaded. */
export function overloaded(): MeshError {
  return new MeshError('MESH_GATEWAY_OVERLOADED', undefined, { retryAfterMs: 1_000 })
}

/** @throws MeshError MESH_GATEWAY_MEMORY when so many processes cannot run within the limit */
export function checkMemory(
  processes: number,
  group: GroupMemory | null = openGroupMemory(),
): void {
  const least = LEAST_MIB * processes
  if (group === null || group.limitBytes >= least * MIB) return
  const has = Math.floor(group.limitBytes / MIB)
  const fewer = processes > 1 ? ', or set fewer workers' : ''
  throw new MeshError('MESH_GATEWAY_MEMORY', `the memory limit of ${has} MiB is too low`, {
    hint: `give it ${least} MiB or more (--memory of docker and podman, mem_limit of compose, resources.limits.memory of Kubernetes, MemoryMax of systemd)${fewer}`,
  })
}

/** A bound on what is kept in memory, lowered to a share of the limit where there is one. */
export function withinMemory(
  bytes: number,
  share: number,
  { limitBytes }: { readonly limitBytes: number | null },
): number {
  return limitBytes === null ? bytes : Math.min(bytes, Math.floor(limitBytes * share))
}
