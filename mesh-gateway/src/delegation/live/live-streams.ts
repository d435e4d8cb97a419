/**
 * The calls that are open now, each with all that it was let through for, so that what changes afterwards ends it. One
 * sweep judges them: whole when something has changed, by the clock alone otherwise. It works in slices, so that ten
 * thousand streams hold nobody up, and without a timer or a map entry for each stream.
 */
import type { IdentitySnapshot, PeerCertificate } from '@clawmesh/agent-sdk'
import type { MeshError } from '@clawmesh/proto'
import type { DelegationQuestion } from '../../policy/decision.ts'
import type { PolicySnapshot } from '../../policy/snapshot.ts'
import type { RevocationJudge } from '../../revocation/judge.ts'
import type { Metrics } from '../../telemetry/metrics-port.ts'
import { judgeLive } from './judge-live.ts'

/** What a call was let through for, and is judged by. */
export interface Grounds {
  readonly caller: PeerCertificate
  /** Null for the gateway's own services. */
  readonly callee: PeerCertificate | null
  /** What policy was asked; null where it has no say. */
  readonly question: DelegationQuestion | null
  /** Root of the tree of delegations that the call is part of; null outside any. */
  readonly txn: string | null
  /** SPIFFE IDs of those through whose hands the chain came. */
  readonly actors: readonly string[]
  /** True when Watch can go on where the call was cut. */
  readonly resumable: boolean
}

export interface LiveStream {
  /** Ends it with an error of the gateway's own, in trailers. */
  cut(error: MeshError): void
  /** Ends it at once, for a reader that does not come to its trailers. One that has ended stays as it is. */
  reset(): void
}

/** A place in the registry. Belongs to the registry. */
export interface Place {
  readonly stream: LiveStream
  readonly grounds: Grounds
  /** When a certificate of it ends, milliseconds since the epoch. */
  readonly endsMs: number
  index: number
  epoch: number
}

export interface LiveStreams {
  readonly size: number
  /** Grows with each change that may end calls: one who was judged before it is judged again. */
  readonly epoch: number
  /** Why a call may not go on, or not begin; null when it may. */
  judge(grounds: Grounds): MeshError | null
  add(stream: LiveStream, grounds: Grounds): Place
  /** Once for each place. */
  remove(place: Place): void
  close(): void
}

export interface LiveStreamsOptions {
  readonly identity: {
    current(): IdentitySnapshot
    onChange(listener: () => void): () => void
  }
  readonly policy: {
    current(): PolicySnapshot
    onChange?(listener: () => void): () => void
  }
  readonly revocations: RevocationJudge & { onChange(listener: () => void): () => void }
  readonly metrics: Pick<Metrics, 'cut'>
  /** How often the clock is looked at, in milliseconds. Default 250. */
  readonly sweepMs?: number
  /** How long the reader of a stream that was cut has to come to its trailers, in milliseconds. Default 300. */
  readonly graceMs?: number
  /** Milliseconds since the epoch. Default the system's clock. */
  readonly now?: () => number
}

/** A slice takes so long at most, in milliseconds; then others have their turn. */
const SLICE_MS = 4
/** The clock is asked once for so many streams. */
const STRIDE = 32

export function createLiveStreams(options: LiveStreamsOptions): LiveStreams {
  const { identity, policy, revocations, metrics, now = Date.now } = options
  const { sweepMs = 250, graceMs = 300 } = options
  const places: Place[] = []
  /** Cut, and given time to be read; in order of time. */
  let lingering: { readonly stream: LiveStream; readonly untilMs: number }[] = []
  let epoch = 0
  let generation = policy.current().generation
  let closed = false
  /** Where the pass that runs has come to, from the end; null when none runs. */
  let cursor: number | null = null
  let again = false

  function judge(grounds: Grounds): MeshError | null {
    return judgeLive(grounds, identity.current(), policy.current(), revocations, now())
  }

  /** Streams behind the cursor are judged already or were judged when they came: a swap never hides one. */
  function slice(): void {
    if (closed || cursor === null) return
    const deadline = performance.now() + SLICE_MS
    let left = STRIDE
    const nowMs = now()
    while (cursor > 0) {
      cursor = Math.min(cursor, places.length) - 1
      const place = places[cursor]
      if (place !== undefined) look(place, nowMs)
      left -= 1
      if (left > 0) continue
      if (performance.now() > deadline) {
        setImmediate(slice)
        return
      }
      left = STRIDE
    }
    cursor = null
    if (!again) return
    again = false
    pass()
  }

  function look(place: Place, nowMs: number): void {
    if (place.epoch === epoch && nowMs <= place.endsMs) return
    place.epoch = epoch
    const error = judge(place.grounds)
    if (error === null) return
    metrics.cut('delegation', error.code)
    // before the cut, which takes the place away
    lingering.push({ stream: place.stream, untilMs: performance.now() + graceMs })
    place.stream.cut(error)
  }

  function pass(): void {
    if (cursor !== null) {
      again = true
      return
    }
    cursor = places.length
    slice()
  }

  function changed(): void {
    epoch += 1
    generation = policy.current().generation
    pass()
  }

  function tick(): void {
    // a policy that is not followed by listening is seen here
    if (policy.current().generation !== generation) changed()
    else if (cursor === null) pass()
    const nowMs = performance.now()
    let kept = 0
    while (kept < lingering.length && (lingering[kept]?.untilMs ?? 0) <= nowMs) {
      lingering[kept]?.stream.reset()
      kept += 1
    }
    if (kept > 0) lingering = lingering.slice(kept)
  }

  const unfollow = [
    identity.onChange(changed),
    revocations.onChange(changed),
    policy.onChange?.(changed),
  ]
  const timer = setInterval(tick, sweepMs)
  timer.unref()

  return {
    get size() {
      return places.length
    },
    get epoch() {
      return epoch
    },
    judge,
    add(stream, grounds) {
      const { caller, callee } = grounds
      const callerEnds = caller.notAfter.getTime()
      const place: Place = {
        stream,
        grounds,
        endsMs: callee === null ? callerEnds : Math.min(callerEnds, callee.notAfter.getTime()),
        index: places.length,
        epoch,
      }
      places.push(place)
      return place
    },
    remove(place) {
      const last = places.pop()
      if (last === undefined || last === place) return
      places[place.index] = last
      last.index = place.index
    },
    close() {
      closed = true
      clearInterval(timer)
      for (const end of unfollow) end?.()
      places.length = 0
      lingering = []
    },
  }
}
