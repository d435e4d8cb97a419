/** The egress port against squid and smokescreen: what a request in absolute form costs, and how much later it is answered. */
import { DIRECT_REQUEST, SQUID } from '../contestants/contestant.ts'
import { quantile } from '../measure/statistics.ts'
import type { BenchOptions } from '../options.ts'
import { openEgressArena } from './egress-arena.ts'
import { coreMetrics, cpuMicrosecondsPer, failures, perSecond } from './load-answers.ts'
import type { BenchContext } from './run-suite.ts'
import { beyond, mapFigures, metric, type SuiteResult, without } from './suite.ts'

const CONNECTIONS = 32
/** By then V8 has compiled what it will: after a third of that ours still costs a sixth more. */
const WARM_REQUESTS = 80_000
/** One window has few requests beyond the 99th of 100. */
const LATENCY_WINDOWS = 2

export async function runEgress(
  context: BenchContext,
  options: BenchOptions,
): Promise<SuiteResult> {
  const { note, world } = context
  const { rounds, quick, warmMs, firstWarmMs, windowMs } = options
  note('egress: starting the contestants')
  const arena = await openEgressArena(context, {
    kind: 'request',
    connections: CONNECTIONS,
    tunnels: 0,
    direct: true,
  })
  note(`egress: requests, ${CONNECTIONS} at once`)
  await arena.warm({
    operations: quick ? 0 : WARM_REQUESTS,
    atLeastMs: firstWarmMs,
    atMostMs: 15_000,
  })
  const closed = await arena.run(rounds, { perSecond: null, warmMs, windowMs })
  const slowest = Math.min(
    ...Object.values(perSecond(closed)).map((rates) => quantile(rates, 0.5) || 100),
  )
  const rate = Math.max(20, Math.round(slowest / 2))
  note(`egress: requests, ${rate} a second`)
  const open = await arena.run(rounds, {
    perSecond: rate,
    warmMs,
    windowMs: windowMs * LATENCY_WINDOWS,
  })
  await arena.close()

  const through = without(closed, DIRECT_REQUEST)
  const p50 = mapFigures(open, ({ p50Ms }) => p50Ms)
  const p99 = mapFigures(open, ({ p99Ms }) => p99Ms)
  return {
    title: 'Egress requests',
    how: `GET in absolute form, answered with 256 bytes, over ${CONNECTIONS} kept connections; ours with token, policy, address rules and audit; squid with one allow rule and its access log; smokescreen with one allow rule, its address rules and its log, and a DNS lookup for each request, since it keeps no answer; ${world.cores.note}. Latency: ${rate} requests a second for each, half of what the slowest managed with ${CONNECTIONS} at once, counted from when a request was due. Added: less the direct request's of the same round.`,
    metrics: [
      metric('CPU per request', 'µs', cpuMicrosecondsPer(through), {
        targets: [{ against: SQUID, atMost: 1 }],
      }),
      metric('requests per second', '/s', perSecond(closed)),
      ...coreMetrics(through),
      metric('added latency p50', 'ms', beyond(p50, DIRECT_REQUEST)),
      metric('added latency p99', 'ms', beyond(p99, DIRECT_REQUEST)),
      metric('latency p50', 'ms', p50),
      metric('latency p99', 'ms', p99),
      metric(
        'CPU per request at this rate',
        'µs',
        cpuMicrosecondsPer(without(open, DIRECT_REQUEST)),
      ),
    ],
    remarks: [
      ...arena.remarks(through),
      ...failures('requests', closed),
      ...failures('requests at a fixed rate', open),
    ],
  }
}
