/** The requests that run now, so that a notification of their session cancels them. */
import type { RequestId } from './messages.ts'

/** Names a request of a session that is to be cancelled. */
export interface Cancel {
  readonly session: string
  readonly id: RequestId
  readonly reason: string
}

/** The other processes of a gateway, one of which may run the request: each connection is of one of them. */
export interface CancelRelay {
  publish(cancel: Cancel): void
  /** Calls the listener for cancels of the others. Returns the function that unsubscribes. */
  onCancel(listener: (cancel: Cancel) => void): () => void
}

export interface RunningRequests {
  readonly size: number
  /**
   * Null when a request with this id runs in the session already.
   * @param session empty without one: then only the end of the connection cancels
   */
  begin(session: string, id: RequestId): RunningRequest | null
  cancel(cancel: Cancel): void
  /** Ends all: the tasks go on. */
  release(): void
  close(): void
}

export interface RunningRequest {
  /** Aborts when the request is cancelled. */
  readonly cancelled: AbortSignal
  /** Aborts when the gateway ends. */
  readonly released: AbortSignal
  end(): void
}

/** @param relay null for a gateway of one process */
export function createRunningRequests(relay: CancelRelay | null): RunningRequests {
  const running = new Map<string, AbortController>()
  const release = new AbortController()
  let count = 0
  const cancelHere = ({ session, id, reason }: Cancel): boolean => {
    const found = running.get(keyOf(session, id))
    found?.abort(reason)
    return found !== undefined
  }
  const unsubscribe = relay?.onCancel(cancelHere)

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
    cancel(cancel) {
      if (!cancelHere(cancel)) relay?.publish(cancel)
    },
    release: () => release.abort(),
    close: () => unsubscribe?.(),
  }
}

/** 1 and "1" are two ids. */
function keyOf(session: string, id: RequestId): string {
  return `${session} ${JSON.stringify(id)}`
}
