/** Checks the terms of a new or renewed CA: domains, address ranges, lifetimes in days. */
import { isDnsName } from '@clawmesh/proto'
import { type IpRange, parseIpRange } from '../x509/ip-range.ts'

export const DEFAULT_ROOT_DAYS = 3650
export const DEFAULT_INTERMEDIATE_DAYS = 365
/** So that a machine whose clock is slightly behind accepts a new certificate. */
export const BACKDATE_MS = 60_000
const DAY_MS = 86_400_000

/** @throws TypeError */
export function checkDomain(option: string, value: string): void {
  if (typeof value !== 'string' || !isDnsName(value))
    throw new TypeError(`${option}: not a lower-case DNS name: ${JSON.stringify(value)}`)
}

/** In milliseconds. @throws TypeError */
export function lifeMs(option: string, days: number): number {
  if (!Number.isFinite(days) || days <= 0 || days > 36_500)
    throw new TypeError(`${option}: must be a number of days above 0 and at most 36500`)
  return days * DAY_MS
}

/** @throws TypeError */
export function toRange(cidr: string): IpRange {
  const range = parseIpRange(cidr)
  if (range === null)
    throw new TypeError(`permitIpRanges: not an IP range: ${JSON.stringify(cidr)}`)
  return range
}
