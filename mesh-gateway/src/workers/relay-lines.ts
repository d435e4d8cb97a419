/**
 * Relays log lines from workers to stdout, whole lines only: a pipe writes at most 4096 bytes atomically, so processes
 * that shared one would tear each other's lines. A worker is read only after its earlier output is written
 * (back-pressure), so little waits here; the rest waits in the worker's bounded buffer. Output of a killed worker is
 * still in its pipe, and is relayed.
 */
import { write } from 'node:fs'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

export interface LinePasserOptions {
  /** Default 1, stdout. */
  readonly fd?: number
  /** Pause after a failed write, in milliseconds. Default 1000. */
  readonly retryMs?: number
  /** Called for a line without an end, or one that is longer than any record. */
  readonly onDropped: () => void
  /** Called when writing begins to fail, and with null when it works again. */
  readonly onHealth: (error: Error | null) => void
}

export interface LinePasser {
  /** Resolves when the stream has ended and all of it is written. */
  pass(from: Readable): Promise<void>
  healthy(): boolean
  /** Resolves when all is written; drops lines that cannot be written. */
  close(): Promise<void>
}

const LINE_FEED = 0x0a
const MAX_LINE_BYTES = 1024 * 1024
const BUSY_MS = 10
const writeFd = promisify(write)

export function createLinePasser(options: LinePasserOptions): LinePasser {
  const { fd = 1, retryMs = 1000, onDropped, onHealth } = options
  const passing = new Set<Promise<void>>()
  let turn: Promise<void> = Promise.resolve()
  let failed = false
  let closing = false
  let giveUpAt = 0

  /** One after another: a line of another worker comes between two, never into one. */
  function writeWhole(lines: Buffer): Promise<void> {
    turn = turn.then(() => writeAll(lines))
    return turn
  }

  async function writeAll(lines: Buffer): Promise<void> {
    let rest: Buffer = lines
    while (rest.length > 0) {
      try {
        const { bytesWritten }: { bytesWritten: number } = await writeFd(fd, rest)
        rest = rest.subarray(bytesWritten)
        if (failed) onHealth(null)
        failed = false
      } catch (error) {
        const busy = error instanceof Error && 'code' in error && error.code === 'EAGAIN'
        if (!busy && !failed) onHealth(error instanceof Error ? error : new Error(String(error)))
        failed ||= !busy
        if (closing && performance.now() >= giveUpAt) return
        await delay(busy ? BUSY_MS : retryMs)
      }
    }
  }

  async function pass(from: Readable): Promise<void> {
    /** The beginning of an incomplete line. Null: it was too long, and is skipped. */
    let begun: Buffer | null = Buffer.alloc(0)
    for await (const chunk of from) {
      if (!Buffer.isBuffer(chunk)) continue
      const end = chunk.lastIndexOf(LINE_FEED) + 1
      if (end > 0) {
        const first = begun === null ? chunk.indexOf(LINE_FEED) + 1 : 0
        await writeWhole(Buffer.concat([begun ?? Buffer.alloc(0), chunk.subarray(first, end)]))
        begun = Buffer.alloc(0)
      }
      if (begun === null) continue
      begun = Buffer.concat([begun, chunk.subarray(end)])
      if (begun.length <= MAX_LINE_BYTES) continue
      begun = null
      onDropped()
    }
    // cut in the middle of a write: an incomplete line is not relayed
    if (begun !== null && begun.length > 0) onDropped()
  }

  return {
    pass(from) {
      const one = pass(from).catch(() => {
        // a broken stream ends here; the end of its worker is reported elsewhere
      })
      passing.add(one)
      return one.finally(() => passing.delete(one))
    },
    healthy: () => !failed,
    async close() {
      closing = true
      giveUpAt = performance.now() + retryMs
      await Promise.all(passing)
      await turn
    },
  }
}
