/**
 * Moves the data frames of one direction, with back-pressure. Holds what it read until the end of the tick, so
 * that a body which ends there leaves with its end in one frame: a third less work for a unary call,
 * and no delay, since nothing is sent before the end of the tick anyway.
 */
import type { Duplex } from 'node:stream'

/** Small pieces of one tick are worth copying together; larger ones are passed on as they are. */
const GATHER_BYTES = 4_096

export interface PumpOptions {
  readonly from: Duplex
  /** Null: nowhere until it is diverted; what comes by then is dropped. */
  readonly to: Duplex | null
  readonly count: (bytes: number) => void
  /** Called with what is about to be written to `to`. */
  readonly onWrite?: (chunk: Buffer) => void
  /** Called when the other side is slower than this one. Returns what to call when it goes on. */
  readonly onStall?: (to: Duplex) => () => void
  /** Called once when `from` has ended, with what is still to be written to `to`. */
  readonly end: (last: Buffer | null) => void
}

export interface Pump {
  /** From now on it writes to another. */
  divert(to: Duplex): void
}

export function pump({ from, to, count, onWrite, onStall, end }: PumpOptions): Pump {
  let target = to
  let held: Buffer | null = null
  let scheduled = false

  function write(chunk: Buffer): void {
    onWrite?.(chunk)
    // what comes after the other side has gone is read and dropped, so that the stream can end
    if (target === null || !target.writable || target.write(chunk)) return
    from.pause()
    const goOn = onStall?.(target)
    target.once('drain', () => {
      goOn?.()
      from.resume()
    })
  }

  function flush(): void {
    scheduled = false
    const chunk = held
    held = null
    if (chunk !== null) write(chunk)
  }

  from.on('data', (chunk: Buffer) => {
    count(chunk.length)
    if (held === null) held = chunk
    else if (held.length + chunk.length <= GATHER_BYTES) held = Buffer.concat([held, chunk])
    else {
      write(held)
      held = chunk
    }
    if (scheduled) return
    scheduled = true
    process.nextTick(flush)
  })
  from.on('end', () => {
    const last = held
    held = null
    end(last)
  })

  return {
    divert(next) {
      target = next
    },
  }
}
