/**
 * The open tunnels and answers of the egress port. A change of policy, revocations or keys judges them again and ends
 * what may not go on, in slices, so that thousands delay nothing else. `live/registry.ts` keeps them; this file counts
 * them against limits.
 */
import type { ErrorCode, Peer } from '@clawmesh/proto'
import type { Limits } from '../../limits/limits.ts'
import { createRegistry, type OpenWork, openRecordsOf, type Registry } from '../../live/registry.ts'
import type { Bounds } from '../enter-limits.ts'
import type { LivePlace, LiveTunnel } from './live-tunnel.ts'
import { createLateEntries, createTally, type LateEntries, type Tally } from './trim.ts'

export interface Tunnels {
  /** Ends it when its token expires. */
  add(tunnel: LiveTunnel): LivePlace
  /** To be called once when the tunnel has ended. */
  remove(place: LivePlace): void
  readonly size: number
  /** @param most how many records */
  open(most: number): OpenWork
  /** Ends it, unless the registry has already ended it. */
  end(place: LivePlace, code: ErrorCode): void
  /** Ends each for which `judge` gives a code; returns how many. */
  endWhere(judge: (tunnel: LiveTunnel) => ErrorCode | null): number
  /** Judges all tunnels again, in slices, the first slice at once. After a revocation. */
  judge(): void
  /**
   * The same, and then ends the youngest tunnels over a limit; those admitted without a limit are counted from now on.
   * After a change of policy. A further change on the way starts the judging again, without waiting for its end.
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
  /** The agent's limits under the current policy; null without policy. */
  readonly boundsOf: (agent: Peer) => Bounds | null
  /** Why a tunnel may not go on now; `judgedBy` is the last generation of policy that allowed it. */
  readonly judge: (tunnel: LiveTunnel, judgedBy: number) => ErrorCode | null
  /** The generation of the current policy. */
  readonly generation: () => number
  readonly limits: Pick<Limits, 'enter'>
  /** Called with the reason of each tunnel that is ended here. */
  readonly onCut: (code: ErrorCode) => void
  /** How often expired tunnels are looked for, in milliseconds. Default 250. */
  readonly sweepMs?: number
  /** The monotonic clock for slices, in milliseconds. Default: the system's. */
  readonly monotonic?: () => number
}

export function createTunnels(options: TunnelsOptions): Tunnels {
  return new LiveTunnels(options)
}

class LiveTunnels implements Tunnels {
  readonly #options: TunnelsOptions
  readonly #places: Registry<LivePlace>
  readonly #late: LateEntries
  #ages = 0
  #trimming = false
  #trimmingSoon = false
  /** The number of policy changes, and the number up to which all open tunnels are counted. */
  #changes = 0
  #settledAt = 0
  /** The tally of the running trim. */
  #tally: Tally | null = null

  constructor(options: TunnelsOptions) {
    const { now, limits, sweepMs, monotonic } = options
    this.#options = options
    this.#late = createLateEntries(limits)
    this.#places = createRegistry({
      now,
      look: (place, expired) => this.#look(place, expired),
      more: { due: () => this.#trimming, run: () => this.#trimAll() },
      onSweep: () => {
        this.#trimming ||= this.#trimmingSoon
        this.#trimmingSoon = false
      },
      ...(sweepMs === undefined ? {} : { sweepMs }),
      ...(monotonic === undefined ? {} : { monotonic }),
    })
  }

  add(tunnel: LiveTunnel): LivePlace {
    const { token } = tunnel.admitted.grounds
    const tokenMs = token?.endMs ?? Number.POSITIVE_INFINITY
    // a token past its expiry was admitted within the tolerance for clock differences
    const endMs = tokenMs > this.#options.now() ? tokenMs : (token?.graceEndMs ?? tokenMs)
    this.#ages += 1
    const { generation: judgedBy, opening } = tunnel
    const { epoch } = this.#places
    const age = this.#ages
    const place: LivePlace = { tunnel, endMs, age, judgedBy, epoch, opening, index: -1 }
    this.#places.add(place)
    return place
  }

  remove(place: LivePlace): void {
    this.#places.remove(place)
    this.#tally?.leave(place)
    this.#late.forget(place)
  }

  get size(): number {
    return this.#places.size
  }

  open(most: number): OpenWork {
    return { count: this.#places.size, records: openRecordsOf(this.#places, most) }
  }

  end(place: LivePlace, code: ErrorCode): void {
    // removed first: no other change ends it again, or counts it
    if (!this.#places.remove(place)) return
    this.#tally?.leave(place)
    this.#options.onCut(code)
    place.tunnel.end(code)
  }

  endWhere(judge: (tunnel: LiveTunnel) => ErrorCode | null): number {
    let ended = 0
    this.#places.visit((place) => {
      const code = judge(place.tunnel)
      if (code === null) return
      this.end(place, code)
      ended += 1
    })
    return ended
  }

  judge(): void {
    this.#places.changed()
  }

  judgeAndTrim(): void {
    this.#trimming = true
    this.#changes += 1
    this.#places.changed()
  }

  trimSoon(): void {
    this.#trimmingSoon = true
  }

  get settled(): boolean {
    return this.#settledAt === this.#changes
  }

  #look(place: LivePlace, expired: boolean): void {
    if (expired) {
      this.end(place, 'MESH_TOKEN_EXPIRED')
      return
    }
    const generation = this.#options.generation()
    const code = this.#options.judge(place.tunnel, place.judgedBy)
    if (code === null) place.judgedBy = generation
    else this.end(place, code)
  }

  *#trimAll(): Generator<void, void> {
    const before = this.#changes
    this.#trimming = false
    const tally = createTally(this.#options.boundsOf)
    this.#tally = tally
    for (const place of this.#places.all().sort((a, b) => a.age - b.age)) {
      // a change during the trim is judged first, so that forbidden tunnels neither stay open nor displace others
      if (this.#places.due) yield* this.#places.look()
      if (place.index >= 0) {
        const keys = tally.enter(place)
        if (keys === null) this.end(place, 'MESH_LIMIT_CONCURRENCY')
        else if (keys.length > 0) this.#late.count(place, keys)
      }
      yield
    }
    this.#tally = null
    this.#settledAt = before
  }
}
