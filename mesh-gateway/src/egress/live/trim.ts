/**
 * After policy lowers a limit: finds the youngest tunnels over it, and counts those admitted while there was no limit.
 * Without that count, as many again would be admitted beside them.
 */
import type { Peer } from '@clawmesh/proto'
import type { RoomLimit } from '../../limits/enter-scopes.ts'
import type { Limits, Release } from '../../limits/limits.ts'
import { type Bounds, limitScopes } from '../enter-limits.ts'
import type { LivePlace, LiveTunnel } from './live-tunnel.ts'

/** Tunnels counted one by one, the oldest first. A tunnel that ends meanwhile makes room. */
export interface Tally {
  /** The keys by which the tunnel has not been counted yet and must be from now on; null when it is over a limit. */
  enter(place: LivePlace): readonly string[] | null
  leave(place: LivePlace): void
}

/** @param boundsOf under the policy of that moment: it may change meanwhile */
export function createTally(boundsOf: (agent: Peer) => Bounds | null): Tally {
  const counts = new Map<string, number>()
  const inside = new Map<LivePlace, readonly string[]>()
  return {
    enter(place) {
      const one = place.tunnel
      const bounds = boundsOf(one.agent)
      if (bounds === null) return NOTHING
      const rooms = roomsOf(one, bounds)
      if (rooms.some(({ key, most }) => (counts.get(key) ?? 0) >= most)) return null
      if (rooms.length === 0) return NOTHING
      const keys = rooms.map(({ key }) => key)
      for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
      inside.set(place, keys)
      const counted = new Set(roomsOf(one, one.bounds).map(({ key }) => key))
      return keys.filter((key) => !counted.has(key))
    },
    leave(place) {
      const keys = inside.get(place)
      if (keys === undefined) return
      inside.delete(place)
      for (const key of keys) counts.set(key, (counts.get(key) ?? 0) - 1)
    },
  }
}

export interface LateEntries {
  /** Enters it under each key by which it is not counted yet, whether there is room or not: it is already open. */
  count(place: LivePlace, keys: readonly string[]): void
  forget(place: LivePlace): void
}

const nothing: Release = () => {}
const NOTHING: readonly string[] = Object.freeze([])

interface Late {
  readonly place: LivePlace
  readonly key: string
}

/**
 * Enters one after another: Redis does not answer thousands at once in time, and a late answer makes it unavailable for
 * all.
 */
export function createLateEntries(limits: Pick<Limits, 'enter'>): LateEntries {
  const held = new Map<LivePlace, Map<string, Release>>()
  let queue: Late[] = []
  let entering = false

  /** Synchronous unless another process must be asked. */
  const enterAll = async () => {
    if (entering) return
    entering = true
    while (queue.length > 0) {
      const batch = queue
      queue = []
      for (const late of batch) {
        const entered = enterOne(late)
        if (entered !== undefined) await entered
      }
    }
    entering = false
  }
  const enterOne = ({ place, key }: Late): Promise<void> | undefined => {
    const mine = held.get(place)
    if (mine === undefined) return undefined
    const keep = (release: Release | null) => {
      // it may have ended during the request to Redis
      if (held.get(place) !== mine) release?.()
      else if (release !== null) mine.set(key, release)
    }
    const entered = limits.enter(key, Number.MAX_SAFE_INTEGER)
    if (!(entered instanceof Promise)) {
      keep(entered)
      return undefined
    }
    return entered.then(keep, () => {
      // limits are unavailable now: the next change of policy counts it
      mine.delete(key)
    })
  }
  return {
    count(place, keys) {
      const mine = held.get(place) ?? new Map<string, Release>()
      held.set(place, mine)
      for (const key of keys) {
        if (mine.has(key)) continue
        mine.set(key, nothing)
        queue.push({ place, key })
      }
      void enterAll()
    },
    forget(place) {
      if (held.size === 0) return
      const mine = held.get(place)
      held.delete(place)
      for (const release of mine?.values() ?? []) release()
    },
  }
}

function roomsOf(one: LiveTunnel, bounds: Bounds): RoomLimit[] {
  return limitScopes(one.agent, bounds, one.tunnel).flatMap(({ room }) => room ?? [])
}
