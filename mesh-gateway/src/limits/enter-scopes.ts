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

/** Takes each permit as soon as it is granted. */
export interface PermitHolder {
  /** What it throws is passed on by `enterScopes`. */
  hold(release: Release): void
}

const RETRY_MS = 1_000

/**
 * Enters each scope in turn. The first limit that is reached ends it, and the holder gives back what it holds by then.
 * Leaves no garbage where all is counted in this process.
 * @returns the refusal (MESH_RATE_LIMITED, MESH_LIMIT_CONCURRENCY), or null
 * @throws MeshError MESH_LIMIT_UNAVAILABLE
 */
export function enterScopes(
  limits: Limits,
  scopes: readonly LimitScope[],
  holder: PermitHolder,
  from = 0,
): MaybePromise<MeshError | null> {
  for (let i = from; i < scopes.length; i += 1) {
    const scope = scopes[i]
    const refused = scope === undefined ? null : enterScope(limits, scope, holder)
    if (refused instanceof Promise)
      return refused.then((error) => error ?? enterScopes(limits, scopes, holder, i + 1))
    if (refused !== null) return refused
  }
  return null
}

/** @returns the refusal, or null. @throws MeshError MESH_LIMIT_UNAVAILABLE */
export function takeRate(
  limits: Limits,
  rate: RateLimit,
  whose: LimitScope['whose'],
): MaybePromise<MeshError | null> {
  const waitMs = limits.take(rate.key, rate.perMinute, rate.burst)
  return waitMs instanceof Promise
    ? waitMs.then((ms) => rateRefusal(ms, rate, whose))
    : rateRefusal(waitMs, rate, whose)
}

function rateRefusal(
  retryAfterMs: number | null,
  { perMinute, noun }: RateLimit,
  whose: LimitScope['whose'],
): MeshError | null {
  if (retryAfterMs === null) return null
  const message = `${perMinute} ${noun} per minute are allowed to ${whose}`
  return new MeshError('MESH_RATE_LIMITED', message, { retryAfterMs })
}

function enterScope(
  limits: Limits,
  scope: LimitScope,
  holder: PermitHolder,
): MaybePromise<MeshError | null> {
  const { rate, whose } = scope
  const refused = rate === null ? null : takeRate(limits, rate, whose)
  return refused instanceof Promise
    ? refused.then((error) => error ?? enterRoom(limits, scope, holder))
    : (refused ?? enterRoom(limits, scope, holder))
}

function enterRoom(
  limits: Limits,
  { room, whose }: LimitScope,
  holder: PermitHolder,
): MaybePromise<MeshError | null> {
  if (room === null) return null
  const granted = limits.enter(room.key, room.most)
  return granted instanceof Promise
    ? granted.then((release) => holdRoom(release, room, whose, holder))
    : holdRoom(granted, room, whose, holder)
}

function holdRoom(
  release: Release | null,
  { most, noun }: RoomLimit,
  whose: LimitScope['whose'],
  holder: PermitHolder,
): MeshError | null {
  if (release === null) {
    const message = `${most} ${noun} at once are allowed to ${whose}`
    return new MeshError('MESH_LIMIT_CONCURRENCY', message, { retryAfterMs: RETRY_MS })
  }
  holder.hold(release)
  return null
}
