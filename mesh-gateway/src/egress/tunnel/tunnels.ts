/** The tunnels and answers that flow now, so that what changes after they were let through can still end them. */
import type { ErrorCode } from '@clawmesh/proto'
import type { Principal } from '../credential.ts'
import type { Target } from '../target/target.ts'

export interface LiveTunnel {
  readonly principal: Principal
  readonly target: Target
  readonly ip: string
  /** For what is seen as HTTP; null for CONNECT. */
  readonly request: { readonly method: string; readonly path: string } | null
  /** Of the policy that let it through. */
  readonly generation: number
  end(code: ErrorCode): void
}

export interface Tunnels {
  /** Ends it when its token expires. Returns what to call when it has ended. */
  add(tunnel: LiveTunnel): () => void
  readonly size: number
  /** Ends each for which `judge` gives a code; returns how many. */
  endWhere(judge: (tunnel: LiveTunnel) => ErrorCode | null): number
}

const SWEEP_MS = 250
const SKEW_MS = 30_000

/** @param now milliseconds since the epoch. */
export function createTunnels(now: () => number): Tunnels {
  /** When each ends at the latest. */
  const live = new Map<LiveTunnel, number>()
  let sweeper: NodeJS.Timeout | null = null
  // one timer for all: a request is not to pay for one of its own
  const sweep = () => {
    const time = now()
    for (const [tunnel, endMs] of [...live]) if (endMs <= time) tunnel.end('MESH_TOKEN_EXPIRED')
    if (live.size > 0 || sweeper === null) return
    clearInterval(sweeper)
    sweeper = null
  }
  return {
    add(tunnel) {
      const expMs = tunnel.principal.claims.exp * 1000
      // the verifier let it through, so past its end it is within what clocks may differ
      live.set(tunnel, expMs > now() ? expMs : expMs + SKEW_MS)
      sweeper ??= setInterval(sweep, SWEEP_MS).unref()
      return () => {
        live.delete(tunnel)
      }
    },
    get size() {
      return live.size
    },
    endWhere(judge) {
      let ended = 0
      for (const tunnel of [...live.keys()]) {
        const code = judge(tunnel)
        if (code === null) continue
        tunnel.end(code)
        ended += 1
      }
      return ended
    },
  }
}
