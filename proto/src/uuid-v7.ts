/** UUIDs that sort by time (RFC 9562, section 5.7): the ids of delegations, requests and tokens. */
import { randomUUID } from 'node:crypto'

const FORM = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** @param nowMs milliseconds since the epoch; default now. */
export function uuidV7(nowMs: number = Date.now()): string {
  const time = nowMs.toString(16).padStart(12, '0')
  // Node draws the randomness of randomUUID for many at once: a quarter of the cost of bytes for each
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`
}

export function isUuidV7(value: string): boolean {
  return FORM.test(value)
}
