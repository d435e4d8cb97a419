/** Parses values of options as they are read: a wrong value is wrong usage. */
import { isDnsLabel, isDnsName } from '@clawmesh/proto'
import { InvalidArgumentError } from 'commander'
import { parseDuration } from '../config/duration.ts'

/** Settings count milliseconds where no unit is given. At a flag, whose name says no unit, nobody means them. */
export function durationValue(text: string): number {
  const bare = /^\d+$/.test(text)
  const ms = bare ? null : parseDuration(text)
  if (ms !== null && ms > 0) return ms
  throw new InvalidArgumentError(`${bare ? 'it has no unit: ' : ''}write it like 90s, 15m or 24h.`)
}

export function labelValue(text: string): string {
  if (isDnsLabel(text)) return text
  throw new InvalidArgumentError('it must be a lower-case DNS label, e.g. bot-01.')
}

/** A name of an object of Kubernetes: a lower-case DNS name. */
export function objectName(text: string): string {
  if (isDnsName(text)) return text
  throw new InvalidArgumentError('it must be a lower-case DNS name, e.g. mesh-keys.')
}

/** For an option that may be repeated, each time with one or more hosts. */
export function collectHosts(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...text.split(',').map((host) => host.trim())]
}
