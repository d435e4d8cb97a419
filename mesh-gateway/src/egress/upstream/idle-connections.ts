/**
 * The idle upstream connections, keyed by agent, host and judged address: the request that reuses one has had its
 * address judged anew.
 */
import type { SecureContext } from 'node:tls'
import type { Release } from '../../limits/limits.ts'
import type { BufferedSocket } from '../carry/buffered-socket.ts'

export interface Upstream {
  readonly socket: BufferedSocket
  readonly ip: string
  readonly key: string
  readonly owner: string
  /** `host:port` */
  readonly destination: string
  /** True when it has carried a request before: the destination may have closed it. */
  readonly reused: boolean
  /** The roots trusted when it was made: after a change it carries no request. */
  readonly trust: SecureContext
  /** Called by the pool: it no longer counts. */
  readonly release: Release
}

export interface IdleConnectionsOptions {
  /** How long an idle connection is kept, in milliseconds. */
  readonly idleMs: number
  /** Over all destinations. */
  readonly maxIdle: number
  readonly maxIdlePerKey: number
  /** The roots that are trusted now. */
  trust(): SecureContext
}

export interface IdleConnections {
  /**
   * The youngest connection of this key: it is the least likely to have been closed. Null without one.
   * @param repeatable false for a request that cannot be retried
   */
  take(key: string, repeatable: boolean): Upstream | null
  /**
   * Keeps a connection whose last answer has been read to its end, or ends it when there is no room.
   * @param keepAliveMs how long the destination says it keeps the connection; null when it does not say
   */
  give(upstream: Upstream, keepAliveMs: number | null): void
  /**
   * Ends the connection that has been idle longest among those that `inTheWay` returns true for; false without one.
   */
  evict(inTheWay: (upstream: Upstream) => boolean): boolean
  close(): void
}

interface Idle {
  readonly upstream: Upstream
  readonly sinceMs: number
  /** It carries no request after this. */
  readonly untilMs: number
  /** Before this it also carries requests that cannot be retried. */
  readonly safeUntilMs: number
}

/** A connection used this recently is very unlikely to be closing, whatever the destination's timeout. */
const MOMENT_MS = 1_000
/** The travel time of a request, subtracted from the destination's announced timeout. */
const MARGIN_MS = 1_000

export function createIdleConnections(options: IdleConnectionsOptions): IdleConnections {
  const idle = new Map<string, Idle[]>()
  let count = 0
  let sweeper: NodeJS.Timeout | null = null

  function remove(entry: Idle): void {
    const list = idle.get(entry.upstream.key)
    const index = list?.indexOf(entry) ?? -1
    if (list === undefined || index === -1) return
    list.splice(index, 1)
    count -= 1
    // an empty list stays until the sweep: docs/discoveries/maps-keep-what-has-died.md
  }

  function drop(entry: Idle): void {
    remove(entry)
    endUpstream(entry.upstream)
  }

  function sweep(): void {
    const nowMs = performance.now()
    for (const [key, list] of idle) {
      for (const entry of [...list]) if (entry.untilMs <= nowMs) drop(entry)
      if (list.length === 0) idle.delete(key)
    }
    if (count > 0 || sweeper === null) return
    clearInterval(sweeper)
    sweeper = null
  }

  function take(key: string, repeatable: boolean): Upstream | null {
    const entry = idle.get(key)?.at(-1)
    if (entry === undefined) return null
    const nowMs = performance.now()
    if (nowMs >= entry.untilMs) {
      drop(entry)
      return take(key, repeatable)
    }
    if (!repeatable && nowMs >= entry.safeUntilMs) return null
    remove(entry)
    const { socket, trust } = entry.upstream
    socket.release()
    socket.onClosed(null)
    if (!socket.closed && !socket.ended && trust === options.trust()) return entry.upstream
    endUpstream(entry.upstream)
    return take(key, repeatable)
  }

  return {
    take,
    give(upstream, keepAliveMs) {
      const list = idle.get(upstream.key) ?? []
      const full = count >= options.maxIdle || list.length >= options.maxIdlePerKey
      const entry = full ? null : idleFrom(upstream, keepAliveMs, options.idleMs)
      if (entry === null) {
        endUpstream(upstream)
        return
      }
      list.push(entry)
      idle.set(upstream.key, list)
      count += 1
      endWhenUnfit(upstream.socket, () => drop(entry))
      sweeper ??= setInterval(sweep, Math.max(50, options.idleMs / 4)).unref()
    },
    evict(inTheWay) {
      const oldest = oldestOf(idle.values(), inTheWay)
      if (oldest === null) return false
      drop(oldest)
      return true
    },
    close() {
      for (const list of idle.values()) for (const entry of [...list]) drop(entry)
      if (sweeper !== null) clearInterval(sweeper)
      sweeper = null
    },
  }
}

/** Closes it, and stops counting it at once: `close` comes later, and must not make the next one exceed the bound. */
export function endUpstream({ socket, release }: Upstream): void {
  release()
  socket.destroy()
}

function oldestOf(
  lists: Iterable<readonly Idle[]>,
  inTheWay: (upstream: Upstream) => boolean,
): Idle | null {
  let oldest: Idle | null = null
  for (const list of lists)
    for (const entry of list)
      if (inTheWay(entry.upstream) && (oldest === null || entry.sinceMs < oldest.sinceMs))
        oldest = entry
  return oldest
}

/** Null when it can carry no further request. */
function idleFrom(upstream: Upstream, keepAliveMs: number | null, idleMs: number): Idle | null {
  const { socket } = upstream
  const forMs = Math.min(idleMs, (keepAliveMs ?? Number.POSITIVE_INFINITY) - MARGIN_MS)
  if (forMs <= 0 || socket.closed || socket.ended || socket.heldBytes > 0) return null
  const sinceMs = performance.now()
  const safeMs = keepAliveMs === null ? Math.min(forMs, MOMENT_MS) : forMs
  return {
    upstream: upstream.reused ? upstream : { ...upstream, reused: true },
    ...{ sinceMs, untilMs: sinceMs + forMs, safeUntilMs: sinceMs + safeMs },
  }
}

/** An idle connection that sends anything is unusable. */
function endWhenUnfit(socket: BufferedSocket, end: () => void): void {
  socket.onDrain(null)
  socket.onClosed(end)
  socket.read({ data: end, end })
}
