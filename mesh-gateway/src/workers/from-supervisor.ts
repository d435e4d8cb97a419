/** What a worker is told while it runs, in the form in which a gateway takes it. */
import { Secret } from '@clawmesh/proto'
import type { LiveConfig } from '../config/live-config.ts'
import type { Config } from '../config/schema.ts'
import type { TicketKeys } from '../egress/listen-for-clients.ts'

export function liveFromSupervisor(
  first: Config,
): LiveConfig & { readonly set: (next: Config) => void } {
  let current = first
  const listeners = new Set<(config: Config) => void>()
  return {
    current: () => current,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    // the supervisor reads it, at the same signal
    reload: async () => true,
    close: async () => listeners.clear(),
    set(next) {
      current = next
      for (const listener of listeners) listener(next)
    },
  }
}

/** @param first base64 */
export function ticketsFromSupervisor(
  first: string,
): TicketKeys & { readonly set: (keys: string) => void } {
  const listeners = new Set<() => void>()
  const read = (keys: string) => new Secret(Buffer.from(keys, 'base64'))
  let current = read(first)
  return {
    current: () => current,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    set(keys) {
      current = read(keys)
      for (const listener of listeners) listener()
    },
  }
}
