/**
 * The open tunnels and answers of the egress port. A change of policy, revocations or keys judges them again and ends what may not go
 * on, in slices, so that thousands delay nothing else. `live/registry.ts` keeps them; this file counts them against limits.
 */
import type { ErrorCode, Peer } from '@clawmesh/proto'
import type { Limits } from '../../limits/limits.ts'
import { createRegistry, type Registry } from '../../live/registry.ts'
import type { Bounds } from '../enter-limits.ts'
import type { LivePlace, LiveTunnel } from './live-tunnel.ts'
import { createLateEntries, createTally, type Tally } from './trim.ts'

export interface Tunnels {
  /** Ends it when its token expires. */
  add(tunnel: LiveTunnel): LivePlace
  /** To be called once when the tunnel has ended. */
  remove(place: LivePlace): void
  readonly size: number
  /** Ends it, unless it has been ended here before. */
  end(place: LivePlace, code: ErrorCode): void
  /** Ends each for which `judge` gives a code; returns how many. */
  endWhere(judge: (tunnel: LiveTunnel) => ErrorCode | null): number
  /** Judges all tunnels again, in slices, the first slice at once. After a revocation. */
  judge(): void
  /**
   * The same, and then ends the youngest tunnels over a limit; those admitted without a limit are counted from now on. After a change
   * of policy. A further change on the way starts the judging again, without waiting for its end.
   */
  judgeAndTrim(): void
  /** Trims soon, for a tunnel that was admitted late; many of them share one trim. */
  trimSoon(): void
  /** False from a change of policy until all that were live then are counted by it. */
  readonly settled: boolean
}

export interface TunnelsOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** What an agent may have open, as policy stands; null without policy. */
  readonly boundsOf: (agent: Peer) => Bounds | null
  /** Why one may not go on, as things stand; `judgedBy` is the policy that it was last allowed by. */
  readonly judge: (tunnel: LiveTunnel, judgedBy: number) => ErrorCode | null
  /** Of policy as it stands. */
  readonly generation: () => number
  readonly limits: Pick<Limits, 'enter'>
  /** Told of each that is ended here, and why. */
  readonly onCut: (code: ErrorCode) => void
  /** How often the clock is looked at, in milliseconds. Default 250. */
  readonly sweepMs?: number
  /** What slices are measured by, monotonic, in milliseconds. Default the system's. */
  readonly monotonic?: () => number
}

export function createTunnels(options: TunnelsOptions): Tunnels {
  const { now, boundsOf, limits, onCut, sweepMs, monotonic } = options
  const late = createLateEntries(limits)
  let ages = 0
  let trimming = false
  let trimmingSoon = false
  /** Of policy; and how many of them all that are live are counted by. */
  let changes = 0
  let settledAt = 0
  /** Of the trim that runs. */
  let tally: Tally | null = null
  const places: Registry<LivePlace> = createRegistry({
    ...{ look, now, more: { due: () => trimming, run: trimAll } },
    onSweep() {
      trimming ||= trimmingSoon
      trimmingSoon = false
    },
    ...(sweepMs === undefined ? {} : { sweepMs }),
    ...(monotonic === undefined ? {} : { monotonic }),
  })

  function end(place: LivePlace, code: ErrorCode): void {
    // taken out first: no other change ends it again, or counts it
    if (!places.remove(place)) return
    tally?.leave(place)
    onCut(code)
    place.tunnel.end(code)
  }
  function look(place: LivePlace, expired: boolean): void {
    if (expired) {
      end(place, 'MESH_TOKEN_EXPIRED')
      return
    }
    const generation = options.generation()
    const code = options.judge(place.tunnel, place.judgedBy)
    if (code === null) place.judgedBy = generation
    else end(place, code)
  }
  function* trimAll(): Generator<void, void> {
    const before = changes
    trimming = false
    tally = createTally(boundsOf)
    for (const place of places.all().sort((a, b) => a.age - b.age)) {
      // nobody is ended beside those who may not go on, and nobody waits for a trim to end first
      if (places.due) yield* places.look()
      if (place.index >= 0) {
        const keys = tally.enter(place)
        if (keys === null) end(place, 'MESH_LIMIT_CONCURRENCY')
        else if (keys.length > 0) late.count(place, keys)
      }
      yield
    }
    tally = null
    settledAt = before
  }
  return {
    add(tunnel) {
      const { token } = tunnel.admitted.grounds
      const tokenMs = token?.endMs ?? Number.POSITIVE_INFINITY
      // past its end it was let in within what clocks may differ
      const endMs = tokenMs > now() ? tokenMs : (token?.graceEndMs ?? tokenMs)
      ages += 1
      const { generation: judgedBy, opening } = tunnel
      const { epoch } = places
      const place: LivePlace = { tunnel, endMs, age: ages, judgedBy, epoch, opening, index: -1 }
      places.add(place)
      return place
    },
    remove(place) {
      places.remove(place)
      tally?.leave(place)
      late.forget(place)
    },
    get size() {
      return places.size
    },
    end,
    endWhere(judge) {
      let ended = 0
      places.visit((place) => {
        const code = judge(place.tunnel)
        if (code === null) return
        end(place, code)
        ended += 1
      })
      return ended
    },
    judge: () => places.changed(),
    judgeAndTrim() {
      trimming = true
      changes += 1
      places.changed()
    },
    trimSoon() {
      trimmingSoon = true
    },
    get settled() {
      return settledAt === changes
    },
  }
}
