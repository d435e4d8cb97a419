/** OpenClaw's side of the plugin is away while it is reloaded. What serves a peer meanwhile waits for it. */
import { MeshError } from '@clawmesh/agent-sdk'
import type { Host } from '../host/host.ts'

export interface HostWait {
  current(): Host | null
  put(host: Host): void
  /** False when another one is current already. */
  take(host: Host): boolean
  /** @throws MeshError when none comes, or the reason of the signal */
  wait(signal: AbortSignal): Promise<Host>
}

// a reload takes up to 21 s on a busy machine
const LONGEST_MS = 60_000

export function createHostWait(longestMs = LONGEST_MS): HostWait {
  let current: Host | null = null
  let arrived = Promise.withResolvers<Host>()
  return {
    current: () => current,
    put(host) {
      current = host
      arrived.resolve(host)
    },
    take(host) {
      if (current !== host) return false
      current = null
      arrived = Promise.withResolvers<Host>()
      return true
    },
    async wait(signal) {
      signal.throwIfAborted()
      if (current !== null) return current
      const over = Promise.withResolvers<never>()
      const stop = () => over.reject(signal.reason)
      const timer = setTimeout(() => {
        over.reject(new MeshError('HOST_AWAY', 'the host of this agent is being restarted'))
      }, longestMs)
      signal.addEventListener('abort', stop, { once: true })
      return Promise.race([arrived.promise, over.promise]).finally(() => {
        clearTimeout(timer)
        signal.removeEventListener('abort', stop)
      })
    },
  }
}
