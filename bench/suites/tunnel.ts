/** The egress port against squid and smokescreen: what a megabyte through a tunnel costs. */
import { type BenchContext, SQUID } from '../contestants/contestant.ts'
import { TUNNEL_BYTES } from '../load/egress-wire.ts'
import type { BenchOptions } from '../options.ts'
import { remarkOnOthers } from './calm-windows.ts'
import { openEgressArena } from './egress-arena.ts'
import {
  busyPercent,
  cpuMicrosecondsPer,
  failures,
  othersPercent,
  perSecond,
} from './load-answers.ts'
import { mapFigures, type SuiteResult } from './suite.ts'

const TUNNELS = 4
const MEGABYTES_PER_EXCHANGE = (2 * TUNNEL_BYTES) / 1e6

export async function runTunnel(
  context: BenchContext,
  options: BenchOptions,
): Promise<SuiteResult> {
  const { note, world } = context
  const { rounds, quick, warmMs, firstWarmMs, windowMs } = options
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
  const plain = { targets: [], limit: null }
  return {
    title: 'Tunnels',
    how: `${TUNNELS} tunnels by CONNECT that begin with a ClientHello, each moving ${TUNNEL_BYTES / 1024} KiB up, then down, over and over; ${world.cores.note}. Below 100 % of its core, a contestant waited for load generator and origin, which copy each byte as often as it does.`,
    metrics: [
      {
        name: 'CPU per megabyte',
        unit: 'µs',
        figures: cpuMicrosecondsPer(closed, MEGABYTES_PER_EXCHANGE),
        targets: [{ against: SQUID, atMost: 1 }],
        limit: null,
      },
      {
        name: 'megabytes per second',
        unit: 'MB/s',
        figures: mapFigures(perSecond(closed), (rate) => rate * MEGABYTES_PER_EXCHANGE),
        ...plain,
      },
      {
        name: 'of its core in use meanwhile',
        unit: '%',
        compared: false,
        figures: busyPercent(closed),
        ...plain,
      },
      {
        name: 'of its core with others',
        unit: '%',
        compared: false,
        figures: othersPercent(closed),
        ...plain,
      },
    ],
    remarks: [
      ...arena.skipped,
      ...(quick ? [] : remarkOnOthers(closed)),
      ...failures('exchanges', closed),
    ],
  }
}
