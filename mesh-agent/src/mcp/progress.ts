/** Notifications of progress for one call, where the client gave a token: never too many, and one every few seconds in any case. */
import type { ServerNotification } from '@modelcontextprotocol/sdk/types.js'
import type { ToolProgress } from '../tools/index.ts'

export interface ProgressReport {
  tell(progress: ToolProgress): void
  stop(): void
}

/** Four a second are enough for anybody who looks. */
const EVERY_MS = 250
/** A client that takes progress for a sign of life waits on. */
const ALIVE_MS = 5_000
/** What a step of unknown size adds: the specification wants each value above the last (MCP, "Progress"). */
const STEP = 0.001

export function reportProgress(
  progressToken: string | number,
  send: (notification: ServerNotification) => Promise<void>,
): ProgressReport {
  let value = 0
  let latest: ToolProgress = { fraction: null, note: 'waiting for the peer' }
  let pending: NodeJS.Timeout | null = null

  const sendLatest = () => {
    pending = null
    value = Math.max(value + STEP, (latest.fraction ?? 0) * 100)
    const { note: message } = latest
    const params = { progressToken, progress: value, total: Math.max(100, value), message }
    send({ method: 'notifications/progress', params }).catch(() => {
      // the client has gone: the end of its session ends the call
    })
  }
  const alive = setInterval(sendLatest, ALIVE_MS)
  alive.unref()
  return {
    tell(progress) {
      latest = progress
      pending ??= setTimeout(sendLatest, EVERY_MS)
    },
    stop() {
      clearInterval(alive)
      if (pending !== null) clearTimeout(pending)
    },
  }
}
