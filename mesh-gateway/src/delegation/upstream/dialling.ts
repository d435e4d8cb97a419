/**
 * The pending connections to one peer: one per address, shared by the calls that wait for it. A dial is aborted when no
 * call waits any more or the gateway is closed, and counts against the bound of its tenant.
 */
import { MeshError } from '@clawmesh/proto'
import type { Attempt } from '../../net/happy-eyeballs.ts'
import type { Dials } from './dials.ts'
import { type Endpoint, keyOf } from './locate.ts'

export interface Dialling {
  /**
   * Waits for a connection to the address, shared with other calls.
   * @param waiter.signal aborts when this call no longer waits
   * @throws MeshError MESH_PEER_*, MESH_LIMIT_CONCURRENCY, MESH_GATEWAY_DRAINING once it is closed
   */
  to(endpoint: Endpoint, waiter: Attempt): Promise<void>
  readonly size: number
  /** Gives up all that are under way, and begins no others. */
  close(): void
}

export interface DiallingOptions {
  readonly dials: Dials
  /** @param attempt.signal aborts when no call waits any more */
  open(endpoint: Endpoint, attempt: Attempt): Promise<void>
}

interface UnderWay {
  readonly done: Promise<void>
  readonly waiters: Set<Attempt>
  readonly controller: AbortController
  connected: boolean
}

export function createDialling({ dials, open }: DiallingOptions): Dialling {
  const underWay = new Map<string, UnderWay>()
  let closed = false

  function begin(endpoint: Endpoint): UnderWay {
    const key = keyOf(endpoint)
    const controller = new AbortController()
    const waiters = new Set<Attempt>()
    const progressed = () => {
      one.connected = true
      for (const waiter of waiters) waiter.progressed()
    }
    const done = dials
      .run(() => open(endpoint, { signal: controller.signal, progressed }))
      .finally(() => {
        if (underWay.get(key) === one) underWay.delete(key)
      })
    const one: UnderWay = { done, waiters, controller, connected: false }
    underWay.set(key, one)
    return one
  }

  return {
    async to(endpoint, waiter) {
      if (closed) throw new MeshError('MESH_GATEWAY_DRAINING')
      if (waiter.signal.aborted) throw new MeshError('MESH_PEER_UNREACHABLE')
      const one = underWay.get(keyOf(endpoint)) ?? begin(endpoint)
      one.waiters.add(waiter)
      if (one.connected) waiter.progressed()
      const leave = () => {
        one.waiters.delete(waiter)
        if (one.waiters.size > 0) return
        // the next call dials again
        if (underWay.get(keyOf(endpoint)) === one) underWay.delete(keyOf(endpoint))
        one.controller.abort()
      }
      waiter.signal.addEventListener('abort', leave)
      try {
        await one.done
      } finally {
        waiter.signal.removeEventListener('abort', leave)
      }
    },
    get size() {
      return underWay.size
    },
    close() {
      closed = true
      for (const { controller } of underWay.values()) controller.abort()
    },
  }
}
