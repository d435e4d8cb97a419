/**
 * Random hexadecimal digits for ids, drawn for many at once: bytes drawn for each cost several times more than what is done with them.
 * Of the system's generator, as `randomUUID`; nothing is handed out twice.
 */
import { randomFillSync } from 'node:crypto'

/** A kept digit may keep its whole batch in memory, so a batch is small. */
const BATCH_BYTES = 1024

/** @returns gives as many digits as it is asked for, 64 at most */
export function createRandomHex(): (digits: number) => string {
  const bytes = Buffer.alloc(BATCH_BYTES)
  let batch = ''
  let at = 0
  return (digits) => {
    if (at + digits > batch.length) {
      batch = randomFillSync(bytes).toString('hex')
      at = 0
    }
    at += digits
    return batch.slice(at - digits, at)
  }
}
