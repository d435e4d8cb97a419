/**
 * Session ids of MCP. An id is random and carries a MAC over itself and the SPIFFE ID of its agent, so the gateway keeps
 * no table of sessions: ten thousand idle ones cost nothing, a restart loses none, and every worker and replica that has
 * the same signing keys takes them. An id alone opens nothing: each request shows a certificate.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

export interface SessionIds {
  create(spiffeId: string): string
  /** True for an id that was made for this agent. */
  isOf(id: string, spiffeId: string): boolean
}

const RANDOM_BYTES = 16
const MAC_BYTES = 32
/** base64url without padding. */
const FORM = /^[\w-]{64}$/

/** @param keys the newest first; ids of each of them are taken */
export function createSessionIds(keys: () => readonly Buffer[]): SessionIds {
  return {
    create(spiffeId) {
      const random = randomBytes(RANDOM_BYTES)
      const [key] = keys()
      if (key === undefined) throw new TypeError('session ids: there is no key')
      return Buffer.concat([random, macOf(key, random, spiffeId)]).toString('base64url')
    },
    isOf(id, spiffeId) {
      if (!FORM.test(id)) return false
      const bytes = Buffer.from(id, 'base64url')
      const random = bytes.subarray(0, RANDOM_BYTES)
      const mac = bytes.subarray(RANDOM_BYTES)
      return (
        mac.length === MAC_BYTES &&
        keys().some((key) => timingSafeEqual(mac, macOf(key, random, spiffeId)))
      )
    },
  }
}

function macOf(key: Buffer, random: Buffer, spiffeId: string): Buffer {
  return createHmac('sha256', key).update(random).update(spiffeId).digest()
}
