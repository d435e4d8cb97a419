/**
 * The tunnels and answers that flow now, so that what changes after they were let through can still end them, each for its reason: in slices,
 * so that thousands of them do not hold up everybody else.
 * One that is let through costs a place in a list: no timer, no count of its own, and no entry in a Map, which would keep what has
 * died. docs/discoveries/maps-keep-what-has-died.md
 */
import type { ErrorCode } from '@clawmesh/proto'
import type { Limits } from '../../limits/limits.ts'
import { createRoll, type Member } from '../../process/roll.ts'
import { createSlices } from '../../process/slices.ts'
import type { Principal } from '../credential.ts'
import type { Bounds } from '../enter-limits.ts'
import type { Target } from '../target/target.ts'
import { type Census, createCensus, createLateCount } from './beyond-limits.ts'

export interface LiveTunnel {
  readonly principal: Principal
  readonly target: Target
  readonly ip: string
  /** For what is seen as HTTP; null for CONNECT. */
  readonly request: { readonly method: string; readonly path: string } | null
  /** Counts among tunnels: CONNECT, and a WebSocket from its request on. Else among requests. */
  readonly tunnel: boolean
  /** Of the policy that let it through. */
  readonly generation: number
  /** What that policy allowed at once: by it, it was counted or not. */
  readonly bounds: Bounds
  /** False when it was let through while `settled` was false: by a count that not all were part of. */
  readonly counted: boolean
  end(code: ErrorCode): void
}

/** Belongs to the registry. */
export interface LivePlace extends Member {
  readonly tunnel: LiveTunnel
  /** When its token ends, milliseconds since the epoch. */
  readonly endMs: number
  /** Grows with each that comes. */
  readonly age: number
  /** The generation of policy that it was last found to be allowed by. */
  judgedBy: number
}

export interface Tunnels {
  /** Ends it when its token expires. */
  add(tunnel: LiveTunnel): LivePlace
  /** Once it has ended, for whatever reason. */
  remove(place: LivePlace): void
  readonly size: number
  /** Ends it, unless it has been ended here before. */
  end(place: LivePlace, code: ErrorCode): void
  /** Ends each for which `judge` gives a code; returns how many. */
  endWhere(judge: (tunnel: LiveTunnel) => ErrorCode | null): number
  /** Has all that are live judged again, in slices, the first one at once. For what was revoked. */
  judge(): void
  /**
   * The same, and then ends the youngest beyond what may be open at once; what was let through uncounted is counted from now on.
   * For a change of policy. What changes again on the way is judged again, and is not waited for.
   */
  judgeAndTrim(): void
  /** Trims within a moment, for one that comes late: many may at once. */
  trimSoon(): void
  /** False from a change of policy until all that were live then are counted by it. */
  readonly settled: boolean
}

export interface TunnelsOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** What an agent may have open, as policy stands; null without policy. */
  readonly boundsOf: (agent: Principal['agent']) => Bounds | null
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

const SWEEP_MS = 250
const SKEW_MS = 30_000

export function createTunnels(options: TunnelsOptions): Tunnels {
  const { now, boundsOf, limits, onCut, sweepMs = SWEEP_MS, monotonic } = options
  const places = createRoll<LivePlace>()
  const late = createLateCount(limits)
  let sweeper: NodeJS.Timeout | null = null
  let ages = 0
  /** What is to be done. */
  let expired: readonly LivePlace[] = []
  let judging = false
  let trimming = false
  let trimmingSoon = false
  /** Of policy; and how many of them all that are live are counted by. */
  let changes = 0
  let settledAt = 0
  /** Of the trim that runs. */
  let census: Census | null = null

  const end = (place: LivePlace, code: ErrorCode) => {
    // taken out first: no other change ends it again, or counts it
    if (!places.remove(place)) return
    census?.leave(place)
    onCut(code)
    place.tunnel.end(code)
  }
  /** What ends first what may not go on at all, and only then looks how many there are. */
  function* work() {
    while (expired.length > 0 || judging || trimming) {
      if (expired.length > 0) yield* endExpired()
      else if (judging) yield* judgeAll()
      else yield* trimAll()
    }
  }
  function* endExpired() {
    const gone = expired
    expired = []
    for (const place of gone) {
      end(place, 'MESH_TOKEN_EXPIRED')
      yield
    }
  }
  function* judgeAll() {
    judging = false
    yield* places.walk((place) => {
      const generation = options.generation()
      const code = options.judge(place.tunnel, place.judgedBy)
      if (code === null) place.judgedBy = generation
      else end(place, code)
    })
  }
  function* trimAll() {
    const before = changes
    trimming = false
    census = createCensus(boundsOf)
    for (const place of places.all().sort((a, b) => a.age - b.age)) {
      // nobody is ended beside those who may not go on, and nobody waits for a trim to end first
      if (expired.length > 0) yield* endExpired()
      if (judging) yield* judgeAll()
      if (place.index >= 0) {
        const keys = census.enter(place)
        if (keys === null) end(place, 'MESH_LIMIT_CONCURRENCY')
        else if (keys.length > 0) late.count(place, keys)
      }
      yield
    }
    census = null
    settledAt = before
  }
  const slices = createSlices({ work, ...(monotonic === undefined ? {} : { now: monotonic }) })
  // one timer for all: a request is not to pay for one of its own
  const sweep = () => {
    const time = now()
    const gone: LivePlace[] = []
    places.visit((place) => {
      if (place.endMs <= time) gone.push(place)
    })
    expired = gone
    trimming ||= trimmingSoon
    trimmingSoon = false
    slices.start()
    if (places.size > 0 || sweeper === null) return
    clearInterval(sweeper)
    sweeper = null
  }
  return {
    add(tunnel) {
      const expMs = tunnel.principal.claims.exp * 1000
      // the verifier let it through, so past its end it is within what clocks may differ
      const endMs = expMs > now() ? expMs : expMs + SKEW_MS
      ages += 1
      const { generation: judgedBy } = tunnel
      const place: LivePlace = { tunnel, endMs, age: ages, judgedBy, index: -1 }
      places.add(place)
      sweeper ??= setInterval(sweep, sweepMs).unref()
      return place
    },
    remove(place) {
      places.remove(place)
      census?.leave(place)
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
    judge() {
      judging = true
      slices.start()
    },
    judgeAndTrim() {
      judging = true
      trimming = true
      changes += 1
      slices.start()
    },
    trimSoon() {
      trimmingSoon = true
    },
    get settled() {
      return settledAt === changes
    },
  }
}
