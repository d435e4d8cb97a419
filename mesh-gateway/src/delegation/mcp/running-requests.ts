/** The requests that run now, so that a notification of their session cancels them. */
import type { RequestId } from './messages.ts'

export interface RunningRequests {
  readonly size: number
  /** Null when a request with this id runs in the session already. */
  begin(session: string, id: RequestId): RunningRequest | null
  /** False when there is none. */
  cancel(session: string, id: RequestId, reason: string): boolean
  /** Ends all: the tasks go on. */
  release(): void
}

export interface RunningRequest {
  /** Aborts when the request is cancelled. */
  readonly cancelled: AbortSignal
  /** Aborts when the gateway ends. */
  readonly released: AbortSignal
  end(): void
}

/** @param session empty without one: then only the end of the connection cancels */
export function createRunningRequests(): RunningRequests {
  const running = new Map<string, AbortController>()
  const release = new AbortController()
  let count = 0

  return {
    get size() {
      return count
    },
    begin(session, id) {
      const key = keyOf(session, id)
      if (session !== '' && running.has(key)) return null
      const cancel = new AbortController()
      if (session !== '') running.set(key, cancel)
      count += 1
      return {
        cancelled: cancel.signal,
        released: release.signal,
        end() {
          count -= 1
          if (running.get(key) === cancel) running.delete(key)
        },
      }
    },
    cancel(session, id, reason) {
      const found = running.get(keyOf(session, id))
      found?.abort(reason)
      return found !== undefined
    },
    release: () => release.abort(),
  }
}

/** 1 and "1" are two ids. */
function keyOf(session: string, id: RequestId): string {
  return `${session} ${JSON.stringify(id)}`
}
