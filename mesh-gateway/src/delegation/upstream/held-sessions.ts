/** The open sessions to one peer, by address. */
import type { UpstreamSession } from './session.ts'

export interface HeldSessions {
  /** The number of addresses with a session. */
  readonly size: number
  /** The number of sessions to one address. */
  count(key: string): number
  /** The open streams of all sessions to one address. */
  load(key: string): number
  /**
   * The least loaded session to an address, with a place reserved; null when none takes a stream.
   * @param failed a session to avoid
   */
  reserve(key: string, failed?: UpstreamSession): UpstreamSession | null
  add(key: string, session: UpstreamSession): void
  /** To be called when the session has closed. */
  remove(key: string, session: UpstreamSession): void
  /** Sessions to other addresses take no new streams. */
  retireOthers(named: ReadonlySet<string>): void
  each(act: (session: UpstreamSession) => void): void
}

export function createHeldSessions(): HeldSessions {
  const held = new Map<string, Set<UpstreamSession>>()
  return {
    get size() {
      return held.size
    },
    count: (key) => held.get(key)?.size ?? 0,
    load(key) {
      let load = 0
      for (const session of held.get(key) ?? []) load += session.active
      return load
    },
    reserve(key, failed) {
      let best: UpstreamSession | null = null
      for (const session of held.get(key) ?? [])
        if (
          session !== failed &&
          (best === null || session.active < best.active) &&
          session.reserve()
        ) {
          best?.release()
          best = session
        }
      return best
    },
    add(key, session) {
      const sessions = held.get(key) ?? new Set<UpstreamSession>()
      held.set(key, sessions.add(session))
    },
    remove(key, session) {
      const sessions = held.get(key)
      sessions?.delete(session)
      if (sessions?.size === 0) held.delete(key)
    },
    retireOthers(named) {
      for (const [key, sessions] of held)
        if (!named.has(key)) for (const session of sessions) session.retire()
    },
    each(act) {
      for (const sessions of held.values()) for (const session of [...sessions]) act(session)
    },
  }
}
