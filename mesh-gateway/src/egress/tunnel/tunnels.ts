/**
 * The tunnels and answers that flow now, so that what changes after they were let through can still end them, each for its reason.
 * One that is let through costs a place in a list: no timer, no count of its own, and no entry in a Map, which would keep what has
 * died. docs/discoveries/maps-keep-what-has-died.md
 */
import type { ErrorCode } from '@clawmesh/proto'
import type { Limits } from '../../limits/limits.ts'
import { createRoll, type Member } from '../../process/roll.ts'
import type { Principal } from '../credential.ts'
import type { Bounds } from '../enter-limits.ts'
import type { Target } from '../target/target.ts'
import { createLateCount, findBeyond } from './beyond-limits.ts'

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
  end(code: ErrorCode): void
}

/** Belongs to the registry. */
export interface LivePlace extends Member {
  readonly tunnel: LiveTunnel
  /** When its token ends, milliseconds since the epoch. */
  readonly endMs: number
  /** Grows with each that comes. */
  readonly age: number
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
  /** Ends the youngest beyond what may be open at once. What was let through uncounted is counted from now on. */
  trim(): void
  /** The same within a moment, for one that comes late: many may at once. */
  trimSoon(): void
}

export interface TunnelsOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** What an agent may have open, as policy stands; null without policy. */
  readonly boundsOf: (agent: Principal['agent']) => Bounds | null
  readonly limits: Pick<Limits, 'enter'>
  /** Told of each that is ended here, and why. */
  readonly onCut: (code: ErrorCode) => void
}

const SWEEP_MS = 250
const SKEW_MS = 30_000

export function createTunnels({ now, boundsOf, limits, onCut }: TunnelsOptions): Tunnels {
  const places = createRoll<LivePlace>()
  const late = createLateCount(limits)
  let sweeper: NodeJS.Timeout | null = null
  let trimming = false
  let ages = 0

  const end = (place: LivePlace, code: ErrorCode) => {
    // taken out first: no other change ends it again, or counts it
    if (!places.remove(place)) return
    onCut(code)
    place.tunnel.end(code)
  }
  const trim = () => {
    trimming = false
    const oldestFirst = places.all().sort((a, b) => a.age - b.age)
    const { beyond, uncounted } = findBeyond(oldestFirst, boundsOf)
    for (const place of beyond) end(place, 'MESH_LIMIT_CONCURRENCY')
    for (const [place, keys] of uncounted) late.count(place, keys)
  }
  // one timer for all: a request is not to pay for one of its own
  const sweep = () => {
    const time = now()
    places.visit((place) => {
      if (place.endMs <= time) end(place, 'MESH_TOKEN_EXPIRED')
    })
    if (trimming) trim()
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
      const place: LivePlace = { tunnel, endMs, age: ages, index: -1 }
      places.add(place)
      sweeper ??= setInterval(sweep, SWEEP_MS).unref()
      return place
    },
    remove(place) {
      places.remove(place)
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
    trim,
    trimSoon() {
      trimming = true
    },
  }
}
