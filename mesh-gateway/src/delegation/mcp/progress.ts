/** Notifications of progress for one call, where the client gave a token: what the peer tells, and signs of life. */
import type { Answer } from './answer.ts'
import { isRecord, isRequestId, type Params } from './messages.ts'
import type { Progress } from './tools/tool-call.ts'

export interface ProgressReport {
  tell(progress: Progress): void
  stop(): void
}

/** After so much silence, in milliseconds: clients that take progress for a sign of life give up after 60 s without. */
const ALIVE_MS = 5_000
/** What a sign of life adds: each value must be above the last (MCP, "Progress"). */
const STEP = 0.000_01

/** @param params of the request, whose `_meta` may name a token */
export function reportProgress(
  { _meta: meta }: Params,
  answer: Pick<Answer, 'notify'>,
): ProgressReport {
  const progressToken = isRecord(meta) ? meta.progressToken : undefined
  if (!isRequestId(progressToken)) return { tell() {}, stop() {} }
  let value = 0
  let note = ''
  const send = (next: number) => {
    value = Math.max(value + STEP, next)
    alive.refresh()
    const message = note === '' ? {} : { message: note }
    answer.notify({
      ...{ jsonrpc: '2.0', method: 'notifications/progress' },
      params: { progressToken, progress: value, total: Math.max(1, value), ...message },
    })
  }
  const alive = setInterval(() => send(value), ALIVE_MS).unref()
  return {
    tell({ fraction, note: said }) {
      note = said
      // what has no measure grows towards the rest
      send(fraction ?? value + (1 - value) / 100)
    },
    stop: () => clearInterval(alive),
  }
}
