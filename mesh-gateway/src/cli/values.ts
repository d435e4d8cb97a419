/** Parses values of options as they are read: a wrong value is wrong usage. */
import { isDnsLabel, isDnsName, parseFlagDuration } from '@clawmesh/proto'
import { InvalidArgumentError } from 'commander'

export function durationValue(text: string): number {
  const ms = parseFlagDuration(text)
  if (ms !== null && ms > 0) return ms
  const bare = /^\d+$/.test(text)
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
