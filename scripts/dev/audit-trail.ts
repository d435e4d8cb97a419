/** Finds lines of the audit log that are written from now on. */
import { open, stat } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { isRecord } from './message.ts'

export interface AuditTrail {
  /** The first line that fits, also when it is yet to be written; null when there is none within `withinMs` milliseconds (default 5 000). */
  find(
    fits: (record: Readonly<Record<string, unknown>>) => boolean,
    withinMs?: number,
  ): Promise<string | null>
}

const EVERY_MS = 50
const MAX_BYTES = 4 * 1024 * 1024

export async function openAuditTrail(file: string): Promise<AuditTrail> {
  const from = (await stat(file).catch(() => null))?.size ?? 0
  return {
    async find(fits, withinMs = 5_000) {
      const until = Date.now() + withinMs
      for (;;) {
        const line = (await linesSince(file, from)).find((each) => {
          const record = parse(each)
          return record !== null && fits(record)
        })
        if (line !== undefined) return line
        if (Date.now() >= until) return null
        await delay(EVERY_MS)
      }
    },
  }
}

async function linesSince(file: string, from: number): Promise<string[]> {
  const handle = await open(file).catch(() => null)
  // the gateway has not made it yet
  if (handle === null) return []
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAX_BYTES), 0, MAX_BYTES, from)
    // what comes after the last newline is not a line yet
    return buffer.toString('utf8', 0, bytesRead).split('\n').slice(0, -1)
  } finally {
    await handle.close()
  }
}

function parse(line: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(line)
    return isRecord(value) ? value : null
  } catch {
    // not a line of ours
    return null
  }
}
