/** Parses values of options as they are read: a wrong value is wrong usage. */
import { isDnsName, parseFlagDuration } from '@clawmesh/proto'
import { InvalidArgumentError } from 'commander'
import { parseIpRange } from '../x509/ip-range.ts'

/** Certificates count whole seconds (RFC 5280, section 4.1.2.5). */
const SECOND_MS = 1_000

/** `90s`, `30m`, `24h`, `7d`, as milliseconds. */
export function parseDuration(text: string): number {
  const ms = parseFlagDuration(text)
  if (ms !== null && ms >= SECOND_MS) return ms
  throw new InvalidArgumentError('write it like 90s, 30m, 24h or 7d.')
}

export function parseDays(text: string): number {
  const days = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (days > 0 && days <= 36_500) return days
  throw new InvalidArgumentError('it must be a whole number of days, 1 to 36500.')
}

export function parseDomain(text: string): string {
  if (isDnsName(text)) return text
  throw new InvalidArgumentError('it must be a lower-case DNS name, e.g. mesh.internal.')
}

/** For an option that may be repeated. */
export function collectDomains(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, parseDomain(text)]
}

/** For an option that may be repeated. */
export function collectIpRanges(text: string, before: readonly string[] = []): readonly string[] {
  if (parseIpRange(text) !== null) return [...before, text]
  throw new InvalidArgumentError('it must be a range of IP addresses, e.g. 127.0.0.0/8.')
}
