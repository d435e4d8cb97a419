/**
 * How much of its core a process under test had to leave to others, and measuring again when that was much: what runs
 * there in between costs it caches, and so CPU time, half as much again where a machine is busy.
 */
import { readFileSync } from 'node:fs'
import { cpuNanoseconds, TICK_NS } from './cpu-time.ts'

export interface Shared<T> {
  readonly value: T
  /** Part of the time, 0 to 1, in which somebody else had the core. NaN where nobody can say. */
  readonly others: number
}

export interface CalmOptions {
  /** Times that it is measured at most. */
  readonly tries: number
  /** With less than this in the hands of others it counts at once. */
  readonly others: number
}

/** The first that was calm enough, or else the calmest. What it came to has no part in the choice. */
export async function calmest<T>(
  measure: () => Promise<Shared<T>>,
  { tries, others }: CalmOptions,
): Promise<Shared<T>> {
  let best = await measure()
  for (let turn = 1; turn < tries && best.others > others; turn++) {
    const next = await measure()
    if (next.others < best.others) best = next
  }
  return best
}

/** @param core that the processes are pinned to; null: none, and nobody can say */
export async function besideOthers<T>(
  core: number | null,
  pids: readonly number[],
  measure: () => Promise<T>,
): Promise<Shared<T>> {
  const foreign = () => (core === null ? Number.NaN : busyNanoseconds(core) - cpuNanoseconds(pids))
  const before = { at: performance.now(), foreign: foreign() }
  const value = await measure()
  const wallNs = (performance.now() - before.at) * 1e6
  return { value, others: Math.max(0, (foreign() - before.foreign) / wallNs) }
}

/** What a core has done so far but idling, the time a hypervisor gave to others included; NaN when it is not in there. */
export function parseBusy(stat: string, core: number): number {
  const found = new RegExp(`^cpu${core} (.*)$`, 'm').exec(stat)
  const [user, nice, system, , , irq, softirq, steal] = (found?.[1] ?? '').split(' ').map(Number)
  const ticks = [user, nice, system, irq, softirq, steal]
  return ticks.reduce<number>((sum, one) => sum + (one ?? Number.NaN), 0) * TICK_NS
}

function busyNanoseconds(core: number): number {
  try {
    return parseBusy(readFileSync('/proc/stat', 'utf8'), core)
  } catch {
    return Number.NaN // no /proc: nobody can say
  }
}
