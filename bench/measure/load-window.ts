/**
 * Drives an operation and counts what a window of time costs the process under test.
 * Closed loop: so many at once, each followed by the next. Open loop: so many per second, whatever happens,
 * with latency counted from when each was due, so that a stall is not hidden by the calls it kept from starting.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuNanoseconds } from './cpu-time.ts'
import { quantile } from './statistics.ts'

/** Does one and says when it is over, and whether it went well. `slot` is 0 … concurrency - 1. */
export type Operation = (slot: number, done: (ok: boolean) => void) => void

export interface Window {
  readonly completed: number
  readonly failed: number
  readonly wallMs: number
  readonly cpuMs: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface WindowOptions {
  readonly warmMs: number
  readonly windowMs: number
  /** The processes whose CPU time is counted. */
  readonly pids: readonly number[]
}

/** In flight at most, in an open loop; more are counted as failed. */
const MOST_OUTSTANDING = 5000
/** A window in which nothing ended at all goes on, for so many times its length at most. */
const MOST_EXTENSIONS = 20

export async function closedLoop(
  operation: Operation,
  concurrency: number,
  options: WindowOptions,
): Promise<Window> {
  const tally = createTally()
  let stopping = false
  const loop = (slot: number) =>
    new Promise<void>((resolve) => {
      const next = () => {
        if (stopping) return resolve()
        const startedAt = performance.now()
        operation(slot, (ok) => {
          tally.count(ok, performance.now() - startedAt)
          next()
        })
      }
      next()
    })
  const loops = Array.from({ length: concurrency }, (_, slot) => loop(slot))
  const window = await measure(tally, options)
  stopping = true
  await Promise.all(loops)
  return window
}

export async function openLoop(
  operation: Operation,
  perSecond: number,
  concurrency: number,
  options: WindowOptions,
): Promise<Window> {
  const tally = createTally()
  const startedAt = performance.now()
  let launched = 0
  let outstanding = 0
  let idle: (() => void) | null = null
  const launch = () => {
    const elapsed = performance.now() - startedAt
    while (launched < (elapsed * perSecond) / 1000) {
      const dueAt = startedAt + (launched * 1000) / perSecond
      const slot = launched++ % concurrency
      if (outstanding >= MOST_OUTSTANDING) {
        tally.count(false, 0)
        continue
      }
      outstanding++
      operation(slot, (ok) => {
        outstanding--
        tally.count(ok, performance.now() - dueAt)
        if (outstanding === 0) idle?.()
      })
    }
  }
  const timer = setInterval(launch, 1)
  const window = await measure(tally, options)
  clearInterval(timer)
  if (outstanding > 0) await new Promise<void>((resolve) => (idle = resolve))
  return window
}

async function measure(tally: Tally, options: WindowOptions): Promise<Window> {
  await sleep(options.warmMs)
  const cpuBefore = cpuNanoseconds(options.pids)
  const before = performance.now()
  tally.begin()
  await sleep(options.windowMs)
  // a machine that stands still for a whole window would leave nothing to divide by
  for (let more = 0; more < MOST_EXTENSIONS && !tally.any(); more++) await sleep(options.windowMs)
  const { completed, failed, latencies } = tally.end()
  const wallMs = performance.now() - before
  const cpuMs = (cpuNanoseconds(options.pids) - cpuBefore) / 1e6
  const p50Ms = quantile(latencies, 0.5)
  return { completed, failed, wallMs, cpuMs, p50Ms, p99Ms: quantile(latencies, 0.99) }
}

type Tally = ReturnType<typeof createTally>

function createTally() {
  let counting = false
  let failed = 0
  const latencies: number[] = []
  return {
    begin: () => {
      counting = true
    },
    count: (ok: boolean, latencyMs: number) => {
      if (!counting) return
      if (ok) latencies.push(latencyMs)
      else failed++
    },
    any: () => latencies.length + failed > 0,
    end: () => {
      counting = false
      return { completed: latencies.length, failed, latencies }
    },
  }
}
