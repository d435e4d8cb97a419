/**
 * A pool of upstream connections, with bounds. Idle connections are keyed by agent, host and judged address: a
 * desynchronised response cannot reach another agent, and the request that reuses a connection has had its address
 * judged anew.
 */
import type { SecureContext } from 'node:tls'
import type { Release } from '../../limits/limits.ts'
import { createAddressHealth } from '../../net/address-health.ts'
import type { BufferedSocket } from '../carry/buffered-socket.ts'
import { Refused, refuse } from '../refused.ts'
import { type BoundReached, createConnectionBounds } from './connection-bounds.ts'
import { type Dialled, type DialOptions, type DialPlan, dial, type NotConnected } from './dial.ts'

export interface Upstream {
  readonly wire: BufferedSocket
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

interface Counted extends Dialled, Pick<Upstream, 'release' | 'trust'> {}

export interface TakeOptions {
  /** True: only a new connection. */
  readonly fresh?: boolean
  /**
   * False for a request that cannot be retried: it gets no connection that the destination may be closing now. Default
   * true.
   */
  readonly repeatable?: boolean
}

/** A client connection; only its end matters here. */
export type Client = Pick<BufferedSocket, 'closed' | 'onClosed'>

export interface UpstreamPool {
  /**
   * @param owner the owner of the connection, e.g. `acme/bot-01`
   * @param client when it closes, dialling ends
   */
  take(
    owner: string,
    plan: DialPlan,
    client: Client,
    options?: TakeOptions,
  ): Promise<Upstream | NotConnected>
  /** Opens a connection that is not given back, for a tunnel. It counts until it has closed. */
  open(owner: string, plan: DialPlan, client: Client): Promise<Dialled | NotConnected>
  /**
   * Gives back a connection whose last answer has been read to its end.
   * @param keepAliveMs how long the destination says it keeps the connection; null when it does not say
   */
  give(upstream: Upstream, keepAliveMs: number | null): void
  /** Closes a taken connection, and stops counting it. */
  drop(upstream: Upstream): void
  close(): void
}

export interface UpstreamPoolOptions extends Omit<DialOptions, 'health'> {
  /** How long an idle connection is kept, in milliseconds. */
  readonly idleMs: number
  /** Over all destinations. */
  readonly maxIdle: number
  readonly maxIdlePerKey: number
  /** Connections to one host and port, over all agents. */
  readonly maxPerDestination: number
  /** Connections of one agent. */
  readonly maxPerAgent: number
  /** Called with the duration of each dial, in seconds. */
  onDial(seconds: number): void
  /** Called with the bound that refused a connection. */
  onRefused(reason: BoundReached): void
}

interface Idle {
  readonly upstream: Upstream
  readonly sinceMs: number
  /** It carries no request after this. */
  readonly untilMs: number
  /** Before this it also carries requests that cannot be retried. */
  readonly safeUntilMs: number
}

const RETRY_MS = 1_000
/** A connection used this recently is very unlikely to be closing, whatever the destination's timeout. */
const MOMENT_MS = 1_000
/** The travel time of a request, subtracted from the destination's announced timeout. */
const MARGIN_MS = 1_000

export function createUpstreamPool(options: UpstreamPoolOptions): UpstreamPool {
  const idle = new Map<string, Idle[]>()
  const bounds = createConnectionBounds({
    perDestination: options.maxPerDestination,
    perAgent: options.maxPerAgent,
  })
  const dialOptions = { ...options, health: createAddressHealth() }
  let count = 0
  let sweeper: NodeJS.Timeout | null = null

  const remove = (entry: Idle) => {
    const { key } = entry.upstream
    const list = idle.get(key)
    const index = list?.indexOf(entry) ?? -1
    if (list === undefined || index === -1) return
    list.splice(index, 1)
    count -= 1
    // an empty list stays until the sweep: docs/discoveries/maps-keep-what-has-died.md
  }
  const end = ({ wire, release }: Upstream) => {
    // at once: `close` comes later, and must not make the next connection exceed the bound
    release()
    wire.destroy()
  }
  const drop = (entry: Idle) => {
    remove(entry)
    end(entry.upstream)
  }
  const sweep = () => {
    const nowMs = performance.now()
    for (const [key, list] of idle) {
      for (const entry of [...list]) if (entry.untilMs <= nowMs) drop(entry)
      if (list.length === 0) idle.delete(key)
    }
    if (count > 0 || sweeper === null) return
    clearInterval(sweeper)
    sweeper = null
  }
  const takeIdle = (key: string, repeatable: boolean): Upstream | null => {
    // the youngest first: it is the least likely to have been closed
    const entry = idle.get(key)?.at(-1)
    if (entry === undefined) return null
    const nowMs = performance.now()
    if (nowMs >= entry.untilMs) {
      drop(entry)
      return takeIdle(key, repeatable)
    }
    if (!repeatable && nowMs >= entry.safeUntilMs) return null
    remove(entry)
    const { wire, trust } = entry.upstream
    wire.release()
    wire.onClosed(null)
    if (!wire.closed && !wire.ended && trust === options.trust()) return entry.upstream
    end(entry.upstream)
    return takeIdle(key, repeatable)
  }
  /**
   * Evicts the connection that has been idle longest among those that count against the reached bound; false when there
   * is none.
   */
  const makeRoom = (inTheWay: (upstream: Upstream) => boolean): boolean => {
    let oldest: Idle | null = null
    for (const list of idle.values())
      for (const entry of list)
        if (inTheWay(entry.upstream) && (oldest === null || entry.sinceMs < oldest.sinceMs))
          oldest = entry
    if (oldest === null) return false
    drop(oldest)
    return true
  }
  const enter = (owner: string, destination: string): Release | Refused => {
    for (;;) {
      const entered = bounds.enter(owner, destination)
      if (typeof entered !== 'string') return entered
      const perAgent = entered === 'connections-per-agent'
      const made = makeRoom((one) =>
        perAgent ? one.owner === owner : one.destination === destination,
      )
      if (made) continue
      options.onRefused(entered)
      const message = perAgent
        ? `this agent has ${options.maxPerAgent} connections to destinations open`
        : `all agents together have ${options.maxPerDestination} connections to ${destination} open`
      return refuse('limits', 'MESH_LIMIT_CONCURRENCY', { message, retryAfterMs: RETRY_MS })
    }
  }
  const open = async (
    owner: string,
    destination: string,
    plan: DialPlan,
    client: Client,
  ): Promise<Counted | NotConnected> => {
    const release = enter(owner, destination)
    if (release instanceof Refused) return { refused: release, ip: null }
    const start = performance.now()
    const trust = options.trust()
    try {
      const dialled = await untilGone(client, (signal) => dial(plan, dialOptions, signal))
      options.onDial((performance.now() - start) / 1000)
      if ('refused' in dialled) {
        release()
        return dialled
      }
      if (dialled.wire.closed) release()
      else dialled.wire.socket.once('close', release)
      return { ...dialled, release, trust }
    } catch (error) {
      release()
      throw error
    }
  }

  return {
    async take(owner, plan, client, { fresh = false, repeatable = true } = {}) {
      const keyOf = (ip: string) =>
        `${owner} ${plan.tls ? 'tls ' : ''}${plan.host} ${ip} ${plan.port}`
      if (!fresh)
        for (const ip of plan.ips) {
          const upstream = takeIdle(keyOf(ip), repeatable)
          if (upstream !== null) return upstream
        }
      const destination = destinationOf(plan)
      const dialled = await open(owner, destination, plan, client)
      if ('refused' in dialled) return dialled
      return { ...dialled, key: keyOf(dialled.ip), owner, destination, reused: false }
    },
    open: (owner, plan, client) => open(owner, destinationOf(plan), plan, client),
    give(upstream, keepAliveMs) {
      const { wire, key } = upstream
      const list = idle.get(key) ?? []
      const full = count >= options.maxIdle || list.length >= options.maxIdlePerKey
      const forMs = Math.min(options.idleMs, (keepAliveMs ?? Number.POSITIVE_INFINITY) - MARGIN_MS)
      if (full || forMs <= 0 || wire.closed || wire.ended || wire.heldBytes > 0) {
        end(upstream)
        return
      }
      const waiting = upstream.reused ? upstream : { ...upstream, reused: true }
      const sinceMs = performance.now()
      const safeMs = keepAliveMs === null ? Math.min(forMs, MOMENT_MS) : forMs
      const entry: Idle = {
        ...{ upstream: waiting, sinceMs },
        ...{ untilMs: sinceMs + forMs, safeUntilMs: sinceMs + safeMs },
      }
      list.push(entry)
      idle.set(key, list)
      count += 1
      // an idle connection that sends anything is unusable
      const unfit = () => drop(entry)
      wire.onDrain(null)
      wire.onClosed(unfit)
      wire.read({ data: unfit, end: unfit })
      sweeper ??= setInterval(sweep, Math.max(50, options.idleMs / 4)).unref()
    },
    drop: end,
    close() {
      for (const list of idle.values()) for (const entry of [...list]) drop(entry)
      if (sweeper !== null) clearInterval(sweeper)
      sweeper = null
    },
  }
}

/** Runs `work` with a signal that aborts when the client has left. */
async function untilGone<T>(client: Client, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  if (client.closed) controller.abort()
  client.onClosed(() => controller.abort())
  try {
    return await work(controller.signal)
  } finally {
    client.onClosed(null)
  }
}

function destinationOf({ host, port }: DialPlan): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}
