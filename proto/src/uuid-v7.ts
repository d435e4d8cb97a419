/** UUIDs that sort by time (RFC 9562, section 5.7): the ids of delegations, requests and tokens. */
import { createRandomHex } from './random-hex.ts'

const randomHex = createRandomHex()
const VARIANTS = '89ab'
const FORM = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** @param nowMs milliseconds since the epoch; default now. */
export function uuidV7(nowMs: number = Date.now()): string {
  const time = nowMs.toString(16).padStart(12, '0')
  const random = randomHex(19)
  const variant = VARIANTS[Number.parseInt(random.slice(0, 1), 16) & 3]
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(1, 4)}-${variant}${random.slice(4, 7)}-${random.slice(7)}`
}

export function isUuidV7(value: string): boolean {
  return FORM.test(value)
}
