/**
 * A pool of upstream connections, with bounds on those of one agent and to one destination. A request gets an idle
 * connection, or a new one.
 */
import type { Release } from '../../limits/limits.ts'
import { createAddressHealth } from '../../net/address-health.ts'
import type { BufferedSocket } from '../carry/buffered-socket.ts'
import { Refused, refuse } from '../refused.ts'
import { type BoundReached, createConnectionBounds } from './connection-bounds.ts'
import { type Dialled, type DialOptions, type DialPlan, dial, type NotConnected } from './dial.ts'
import {
  createIdleConnections,
  endUpstream,
  type IdleConnectionsOptions,
  type Upstream,
} from './idle-connections.ts'

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

export interface UpstreamPoolOptions extends Omit<DialOptions, 'health'>, IdleConnectionsOptions {
  /** Connections to one host and port, over all agents. */
  readonly maxPerDestination: number
  /** Connections of one agent. */
  readonly maxPerAgent: number
  /** Called with the duration of each dial, in seconds. */
  onDial(seconds: number): void
  /** Called with the bound that refused a connection. */
  onRefused(reason: BoundReached): void
}

const RETRY_MS = 1_000

export function createUpstreamPool(options: UpstreamPoolOptions): UpstreamPool {
  const bounds = createConnectionBounds({
    perDestination: options.maxPerDestination,
    perAgent: options.maxPerAgent,
  })
  const idle = createIdleConnections(options)
  const dialOptions = { ...options, health: createAddressHealth() }

  /** Evicts idle connections while a bound is reached. */
  function enter(owner: string, destination: string): Release | Refused {
    for (;;) {
      const entered = bounds.enter(owner, destination)
      if (typeof entered !== 'string') return entered
      const perAgent = entered === 'connections-per-agent'
      const made = idle.evict((one) =>
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

  async function open(
    owner: string,
    destination: string,
    plan: DialPlan,
    client: Client,
  ): Promise<Counted | NotConnected> {
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
      if (dialled.socket.closed) release()
      else dialled.socket.raw.once('close', release)
      return { ...dialled, release, trust }
    } catch (error) {
      release()
      throw error
    }
  }

  return {
    async take(owner, plan, client, { fresh = false, repeatable = true } = {}) {
      if (!fresh)
        for (const ip of plan.ips) {
          const upstream = idle.take(keyOf(owner, plan, ip), repeatable)
          if (upstream !== null) return upstream
        }
      const destination = destinationOf(plan)
      const dialled = await open(owner, destination, plan, client)
      if ('refused' in dialled) return dialled
      const key = keyOf(owner, plan, dialled.ip)
      return { ...dialled, key, owner, destination, reused: false }
    },
    open: (owner, plan, client) => open(owner, destinationOf(plan), plan, client),
    give: idle.give,
    drop: endUpstream,
    close: idle.close,
  }
}

/** The agent is in it: a desynchronised response cannot reach another agent. */
function keyOf(owner: string, { tls, host, port }: DialPlan, ip: string): string {
  return `${owner} ${tls ? 'tls ' : ''}${host} ${ip} ${port}`
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
