/** Waits until a figure has stopped moving: memory, above all, is given and taken back late. */
import { setTimeout as sleep } from 'node:timers/promises'
import { quantile } from './statistics.ts'

export interface SettleOptions {
  readonly everyMs: number
  /** Samples in a row that must agree. */
  readonly samples: number
  /** How far they may lie apart, as a part of the largest. */
  readonly within: number
  /** After this the last samples are taken as they are, in milliseconds. */
  readonly patienceMs: number
}

/** The median of the last samples. */
export async function settled(sample: () => number, options: SettleOptions): Promise<number> {
  const { everyMs, samples, within, patienceMs } = options
  const last: number[] = []
  const until = performance.now() + patienceMs
  for (;;) {
    last.push(sample())
    if (last.length > samples) last.shift()
    if (last.length === samples && agree(last, within)) break
    if (performance.now() >= until) break
    await sleep(everyMs)
  }
  return quantile(last, 0.5)
}

export function agree(values: readonly number[], within: number): boolean {
  const most = Math.max(...values)
  return most - Math.min(...values) <= within * Math.abs(most)
}
