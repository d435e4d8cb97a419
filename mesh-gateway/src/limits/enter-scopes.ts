/**
 * The one way in through limits, for both planes. A scope is an agent or its tenant as a whole; each may have a rate (a
 * token bucket) and a number at once. Scopes are entered one after another, synchronously unless another process
 * counts.
 */
import { MeshError } from '@clawmesh/proto'
import type { Limits, MaybePromise, Release } from './limits.ts'

export interface RateLimit {
  /** E.g. `egress:acme/bot-01`. */
  readonly key: string
  readonly perMinute: number
  readonly burst: number
  /** What is counted, for messages. */
  readonly noun: 'calls' | 'requests'
}

export interface RoomLimit {
  readonly key: string
  /** Ends it at once. */
  readonly most: number
  readonly noun: 'calls' | 'requests' | 'tunnels'
}

export interface LimitScope {
  /** For messages. */
  readonly whose: 'this agent' | 'its tenant'
  /** Null when policy sets none. */
  readonly rate: RateLimit | null
  readonly room: RoomLimit | null
}

const RETRY_MS = 1_000

/**
 * Enters each scope in turn. The first limit that is reached ends it, and the caller gives back what it holds by then.
 * @param hold takes each permit as soon as it is granted; what it throws is passed on
 * @returns the refusal (MESH_RATE_LIMITED, MESH_LIMIT_CONCURRENCY), or null
 * @throws MeshError MESH_LIMIT_UNAVAILABLE
 */
export function enterScopes(
  limits: Limits,
  scopes: readonly LimitScope[],
  hold: (release: Release) => void,
  from = 0,
): MaybePromise<MeshError | null> {
  for (let i = from; i < scopes.length; i += 1) {
    const scope = scopes[i]
    const refused = scope === undefined ? null : enterScope(limits, scope, hold)
    if (refused instanceof Promise)
      return refused.then((error) => error ?? enterScopes(limits, scopes, hold, i + 1))
    if (refused !== null) return refused
  }
  return null
}

/** @returns the refusal, or null. @throws MeshError MESH_LIMIT_UNAVAILABLE */
export function takeRate(
  limits: Limits,
  { key, perMinute, burst, noun }: RateLimit,
  whose: LimitScope['whose'],
): MaybePromise<MeshError | null> {
  const refusal = (retryAfterMs: number | null) =>
    retryAfterMs === null
      ? null
      : new MeshError(
          'MESH_RATE_LIMITED',
          `${perMinute} ${noun} per minute are allowed to ${whose}`,
          { retryAfterMs },
        )
  const waitMs = limits.take(key, perMinute, burst)
  return waitMs instanceof Promise ? waitMs.then(refusal) : refusal(waitMs)
}

function enterScope(
  limits: Limits,
  { rate, room, whose }: LimitScope,
  hold: (release: Release) => void,
): MaybePromise<MeshError | null> {
  const enter = () => (room === null ? null : enterRoom(limits, room, whose, hold))
  if (rate === null) return enter()
  const refused = takeRate(limits, rate, whose)
  return refused instanceof Promise
    ? refused.then((error) => error ?? enter())
    : (refused ?? enter())
}

function enterRoom(
  limits: Limits,
  { key, most, noun }: RoomLimit,
  whose: LimitScope['whose'],
  hold: (release: Release) => void,
): MaybePromise<MeshError | null> {
  const entered = (release: Release | null) => {
    if (release !== null) {
      hold(release)
      return null
    }
    const message = `${most} ${noun} at once are allowed to ${whose}`
    return new MeshError('MESH_LIMIT_CONCURRENCY', message, { retryAfterMs: RETRY_MS })
  }
  const granted = limits.enter(key, most)
  return granted instanceof Promise ? granted.then(entered) : entered(granted)
}
