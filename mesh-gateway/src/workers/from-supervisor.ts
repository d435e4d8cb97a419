/** Converts the supervisor's messages to a running worker into the interfaces that a gateway takes. */
import { createListeners, type Log } from '@clawmesh/agent-sdk/mesh'
import { Secret } from '@clawmesh/proto'
import type { LiveConfig } from '../config/live-config.ts'
import type { Config } from '../config/schema.ts'
import type { Cancel, CancelRelay } from '../delegation/mcp/running-requests.ts'
import type { TicketKeys } from '../egress/client/listen-for-clients.ts'

export function liveFromSupervisor(
  first: Config,
  log: Pick<Log, 'error'>,
): LiveConfig & { readonly set: (next: Config) => void } {
  let current = first
  const listeners = createListeners<Config>((err) =>
    log.error({ err }, 'a listener to config failed'),
  )
  return {
    current: () => current,
    onChange: listeners.add,
    // the supervisor reloads it, at the same signal
    reload: async () => true,
    close: async () => listeners.clear(),
    set(next) {
      current = next
      listeners.tell(next)
    },
  }
}

/** @param first base64 */
export function ticketsFromSupervisor(
  first: string,
  log: Pick<Log, 'error'>,
): TicketKeys & { readonly set: (keys: string) => void } {
  const listeners = createListeners<void>((err) =>
    log.error({ err }, 'a listener to ticket keys failed'),
  )
  const read = (keys: string) => new Secret(Buffer.from(keys, 'base64'))
  let current = read(first)
  return {
    current: () => current,
    onChange: listeners.add,
    set(keys) {
      current = read(keys)
      listeners.tell()
    },
  }
}

/** @param publish passes it on to the supervisor */
export function cancelsFromSupervisor(
  publish: (cancel: Cancel) => void,
  log: Pick<Log, 'error'>,
): CancelRelay & { readonly tell: (cancel: Cancel) => void } {
  const listeners = createListeners<Cancel>((err) =>
    log.error({ err }, 'a listener to cancels failed'),
  )
  return { publish, onCancel: listeners.add, tell: (cancel) => listeners.tell(cancel) }
}
