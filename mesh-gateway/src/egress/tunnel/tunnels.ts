/** The tunnels that are open now, so that what changes after they were let through can still end them. */
import type { ErrorCode } from '@clawmesh/proto'
import type { Principal } from '../credential.ts'
import type { Target } from '../target/target.ts'

export interface LiveTunnel {
  readonly principal: Principal
  readonly target: Target
  readonly ip: string
  /** For a WebSocket in absolute form; null for CONNECT. */
  readonly request: { readonly method: string; readonly path: string } | null
  end(code: ErrorCode): void
}

export interface Tunnels {
  /** Ends it when its token expires. Returns what to call when it has ended. */
  add(tunnel: LiveTunnel): () => void
  readonly size: number
  /** Ends each for which `judge` gives a code; returns how many. */
  endWhere(judge: (tunnel: LiveTunnel) => ErrorCode | null): number
}

/** What setTimeout takes at most. */
const MAX_TIMER_MS = 2 ** 31 - 1
const SKEW_MS = 30_000

/** @param now milliseconds since the epoch. */
export function createTunnels(now: () => number): Tunnels {
  const live = new Set<LiveTunnel>()
  return {
    add(tunnel) {
      live.add(tunnel)
      const leftMs = tunnel.principal.claims.exp * 1000 - now()
      const expire = () => tunnel.end('MESH_TOKEN_EXPIRED')
      // the verifier let it through, so past its end it is within what clocks may differ
      const graceMs = leftMs > 0 ? leftMs : Math.max(0, leftMs + SKEW_MS)
      const timer = setTimeout(expire, Math.min(MAX_TIMER_MS, graceMs))
      return () => {
        clearTimeout(timer)
        live.delete(tunnel)
      }
    },
    get size() {
      return live.size
    },
    endWhere(judge) {
      let ended = 0
      for (const tunnel of [...live]) {
        const code = judge(tunnel)
        if (code === null) continue
        tunnel.end(code)
        ended += 1
      }
      return ended
    },
  }
}
