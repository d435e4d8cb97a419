/** The egress port against squid and smokescreen: what a megabyte through a tunnel costs. */
import { SQUID } from '../contestants/contestant.ts'
import { TUNNEL_BYTES } from '../load/egress-wire.ts'
import type { BenchOptions } from '../options.ts'
import { openEgressArena } from './egress-arena.ts'
import { coreMetrics, cpuMicrosecondsPer, failures, perSecond } from './load-answers.ts'
import type { BenchContext } from './run-suite.ts'
import { mapFigures, metric, type SuiteResult } from './suite.ts'

const TUNNELS = 4
const MEGABYTES_PER_EXCHANGE = (2 * TUNNEL_BYTES) / 1e6

export async function runTunnel(
  context: BenchContext,
  options: BenchOptions,
): Promise<SuiteResult> {
  const { note, world } = context
  const { rounds, warmMs, firstWarmMs, windowMs } = options
  note('tunnel: starting the contestants')
  const arena = await openEgressArena(context, {
    kind: 'tunnel',
    connections: TUNNELS,
    tunnels: TUNNELS,
    direct: false,
  })
  note(`tunnel: ${TUNNELS} at once`)
  await arena.warm({ operations: 0, atLeastMs: firstWarmMs, atMostMs: firstWarmMs })
  const closed = await arena.run(rounds, { perSecond: null, warmMs, windowMs })
  await arena.close()
  return {
    title: 'Tunnels',
    how: `${TUNNELS} tunnels by CONNECT that begin with a ClientHello, each moving ${TUNNEL_BYTES / 1024} KiB up, then down, over and over; ${world.cores.note}. Below 100 % of its core, a contestant waited for load generator and origin, which copy each byte as often as it does.`,
    metrics: [
      metric('CPU per megabyte', 'µs', cpuMicrosecondsPer(closed, MEGABYTES_PER_EXCHANGE), {
        targets: [{ against: SQUID, atMost: 1 }],
      }),
      metric(
        'megabytes per second',
        'MB/s',
        mapFigures(perSecond(closed), (rate) => rate * MEGABYTES_PER_EXCHANGE),
      ),
      ...coreMetrics(closed),
    ],
    remarks: [...arena.remarks(closed), ...failures('exchanges', closed)],
  }
}
