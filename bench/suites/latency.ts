/** What a unary call waits longer through each of those in between than without any, at half load. */
import { DIRECT } from '../contestants/contestant.ts'
import { CALL_SHAPES } from '../load/grpc-load.ts'
import { quantile } from '../measure/statistics.ts'
import type { BenchOptions } from '../options.ts'
import { CONCURRENCY, CONNECTIONS, openArena, windowOf } from './arena.ts'
import { cpuMicrosecondsPer, failures, perSecond } from './load-answers.ts'
import type { BenchContext } from './run-suite.ts'
import { beyond, mapFigures, metric, type SuiteResult, without } from './suite.ts'

/** One window has few calls beyond the 99th of 100. */
const WINDOWS = 2
/** Calls a second: load and peer share a core, and with more they are what is waited for. */
const MOST = 2_000

export async function runLatency(
  context: BenchContext,
  options: BenchOptions,
): Promise<SuiteResult> {
  const { world, note } = context
  note('latency: starting the contestants')
  const arena = await openArena(context, { direct: true })
  const unary = { kind: 'unary', concurrency: CONCURRENCY, ...windowOf(options) } as const
  note(`latency: how much each can carry, ${CONCURRENCY} at once`)
  const most = await arena.run(1, { ...unary, perSecond: null, warmMs: options.firstWarmMs })
  const slowest = Math.min(
    ...Object.values(perSecond(most)).map((rates) => quantile(rates, 0.5) || 100),
  )
  const rate = Math.max(20, Math.round(Math.min(slowest / 2, MOST)))
  note(`latency: ${rate} calls a second`)
  const windowMs = options.windowMs * WINDOWS
  const open = await arena.run(options.rounds, { ...unary, windowMs, perSecond: rate })
  await arena.close()

  const figures = {
    p50: mapFigures(open, ({ p50Ms }) => p50Ms),
    p99: mapFigures(open, ({ p99Ms }) => p99Ms),
  }
  return {
    title: 'Latency at half load',
    how: `Unary gRPC calls of ${CALL_SHAPES.unary.bytes} bytes over ${CONNECTIONS} connections, begun at ${rate} a second for each, half of what the slowest managed with ${CONCURRENCY} at once or ${MOST}, whichever is less; counted from when a call was due. Added: less the direct call's of the same round. ${world.cores.note}.`,
    metrics: [
      metric('added latency p50', 'ms', beyond(figures.p50, DIRECT)),
      metric('added latency p99', 'ms', beyond(figures.p99, DIRECT)),
      metric('latency p50', 'ms', figures.p50),
      metric('latency p99', 'ms', figures.p99),
      metric('CPU per unary call at this rate', 'µs', cpuMicrosecondsPer(without(open, DIRECT))),
    ],
    remarks: [...arena.skipped, ...failures('unary calls at a fixed rate', open)],
  }
}
