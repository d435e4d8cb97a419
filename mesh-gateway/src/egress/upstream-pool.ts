/**
 * Connections that wait for the next request. Each belongs to one agent, one host and one judged address: an answer that is out of step
 * can then reach nobody else, and what is reused was judged anew by the request that reuses it.
 */
import { type DialOptions, type DialPlan, dial } from './dial.ts'
import { Refused } from './refused.ts'
import type { Wire } from './wire.ts'

export interface Upstream {
  readonly wire: Wire
  readonly ip: string
  readonly key: string
  /** True when it has carried a request before: it may turn out to have been closed. */
  readonly reused: boolean
}

export interface UpstreamPool {
  /** @param owner who the connection belongs to, e.g. `acme/bot-01`. */
  take(
    owner: string,
    plan: DialPlan,
    options?: { readonly fresh?: boolean },
  ): Promise<Upstream | Refused>
  /** Gives back a connection whose last answer has been read to its end. */
  give(upstream: Upstream): void
  close(): void
}

export interface UpstreamPoolOptions extends DialOptions {
  /** How long a connection waits for the next request, in milliseconds. */
  readonly idleMs: number
  /** Over all destinations. */
  readonly maxIdle: number
  readonly maxIdlePerKey: number
  /** Told how long connecting took, in seconds. */
  onDial(seconds: number): void
}

interface Idle {
  readonly wire: Wire
  readonly ip: string
  readonly sinceMs: number
}

export function createUpstreamPool(options: UpstreamPoolOptions): UpstreamPool {
  const idle = new Map<string, Idle[]>()
  let count = 0
  let sweeper: NodeJS.Timeout | null = null

  const remove = (key: string, entry: Idle) => {
    const list = idle.get(key)
    const index = list?.indexOf(entry) ?? -1
    if (list === undefined || index === -1) return
    list.splice(index, 1)
    count -= 1
    if (list.length === 0) idle.delete(key)
  }
  const drop = (key: string, entry: Idle) => {
    remove(key, entry)
    entry.wire.destroy()
  }
  const sweep = () => {
    const before = performance.now() - options.idleMs
    for (const [key, list] of idle)
      for (const entry of [...list]) if (entry.sinceMs <= before) drop(key, entry)
    if (count > 0 || sweeper === null) return
    clearInterval(sweeper)
    sweeper = null
  }
  const takeIdle = (key: string): Idle | null => {
    // the youngest first: it is the least likely to have been closed
    const entry = idle.get(key)?.at(-1)
    if (entry === undefined) return null
    remove(key, entry)
    entry.wire.release()
    entry.wire.onClosed(null)
    return entry.wire.closed || entry.wire.ended ? takeIdle(key) : entry
  }

  return {
    async take(owner, plan, { fresh = false } = {}) {
      const keyOf = (ip: string) =>
        `${owner} ${plan.tls ? 'tls ' : ''}${plan.host} ${ip} ${plan.port}`
      if (!fresh)
        for (const ip of plan.ips) {
          const key = keyOf(ip)
          const entry = takeIdle(key)
          if (entry !== null) return { wire: entry.wire, ip, key, reused: true }
        }
      const start = performance.now()
      const dialled = await dial(plan, options)
      options.onDial((performance.now() - start) / 1000)
      if (dialled instanceof Refused) return dialled
      const { wire, ip } = dialled
      return { wire, ip, key: keyOf(ip), reused: false }
    },
    give({ wire, ip, key }) {
      const list = idle.get(key) ?? []
      const full = count >= options.maxIdle || list.length >= options.maxIdlePerKey
      if (full || wire.closed || wire.ended || wire.heldBytes > 0) {
        wire.destroy()
        return
      }
      const entry: Idle = { wire, ip, sinceMs: performance.now() }
      list.push(entry)
      idle.set(key, list)
      count += 1
      // whatever comes from a connection that was asked nothing makes it unfit
      const unfit = () => drop(key, entry)
      wire.onDrain(null)
      wire.onClosed(unfit)
      wire.read({ data: unfit, end: unfit })
      sweeper ??= setInterval(sweep, Math.max(50, options.idleMs / 4)).unref()
    },
    close() {
      for (const [key, list] of idle) for (const entry of [...list]) drop(key, entry)
      if (sweeper !== null) clearInterval(sweeper)
      sweeper = null
    },
  }
}
