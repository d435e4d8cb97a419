/**
 * The keys of TLS session tickets, so that any worker can resume a session of another. Created in memory, never written
 * to disk, and renewed every few hours: a leaked key decrypts no older session.
 */
import { randomBytes } from 'node:crypto'
import { Secret } from '@clawmesh/proto'
import type { TicketKeys } from '../egress/client/listen-for-clients.ts'

export interface MadeTicketKeys extends TicketKeys {
  close(): void
}

const BYTES = 48
const ROTATE_MS = 4 * 60 * 60 * 1000

/** @param rotateMs milliseconds; default 4 hours */
export function makeTicketKeys(rotateMs = ROTATE_MS): MadeTicketKeys {
  const listeners = new Set<() => void>()
  let current = new Secret(randomBytes(BYTES))
  const clock = setInterval(() => {
    current = new Secret(randomBytes(BYTES))
    for (const listener of listeners) listener()
  }, rotateMs).unref()
  return {
    current: () => current,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close: () => clearInterval(clock),
  }
}
