/** Delegated calls: our gateway against a plain grpc-js proxy and nginx grpc_pass, mTLS on both hops of each. */
import { GRPC_JS, NGINX } from '../contestants/contestant.ts'
import { CALL_SHAPES } from '../load/grpc-load.ts'
import type { BenchOptions } from '../options.ts'
import { CONCURRENCY, CONNECTIONS, openArena, windowOf } from './arena.ts'
import { cpuMicrosecondsPer, failures, perSecond, type Windows } from './load-answers.ts'
import type { BenchContext } from './run-suite.ts'
import { type Metric, metric, type SuiteResult } from './suite.ts'

const STREAMS = 8

export async function runDelegation(
  context: BenchContext,
  options: BenchOptions,
): Promise<SuiteResult> {
  const { world, note } = context
  const { rounds } = options
  note('delegation: starting the contestants')
  const arena = await openArena(context, { direct: false })
  const closedLoop = { concurrency: CONCURRENCY, perSecond: null, ...windowOf(options) }
  note('delegation: warming up')
  await arena.run(1, { ...closedLoop, kind: 'unary', warmMs: options.firstWarmMs })
  note(`delegation: unary calls, ${CONCURRENCY} at once`)
  const unary = await arena.run(rounds, { ...closedLoop, kind: 'unary' })
  note('delegation: streams')
  const small = await arena.run(rounds, { ...closedLoop, kind: 'stream-1k', concurrency: STREAMS })
  const large = await arena.run(rounds, { ...closedLoop, kind: 'stream-64k', concurrency: STREAMS })
  await arena.close()
  return {
    title: 'Delegated calls',
    how: `Unary gRPC calls of ${CALL_SHAPES.unary.bytes} bytes over ${CONNECTIONS} connections, mTLS (TLS 1.3, P-256) on both hops; ${world.cores.note}. Closed loop: ${CONCURRENCY} calls at once. Streams: ${STREAMS} at once.`,
    metrics: metricsOf({ unary, small, large }),
    remarks: [
      ...arena.skipped,
      ...failures('unary calls', unary),
      ...failures('streams of 1 KiB messages', small),
      ...failures('streams of 64 KiB messages', large),
    ],
  }
}

function metricsOf(windows: Readonly<Record<'unary' | 'small' | 'large', Windows>>): Metric[] {
  const { unary, small, large } = windows
  return [
    metric('CPU per unary call', 'µs', cpuMicrosecondsPer(unary), {
      targets: [
        { against: GRPC_JS, atMost: 0.5 },
        { against: NGINX, atMost: 2.2 },
      ],
    }),
    metric('unary calls per second', '/s', perSecond(unary)),
    metric(
      'CPU per streamed 1 KiB message, there and back',
      'µs',
      cpuMicrosecondsPer(small, CALL_SHAPES['stream-1k'].messages),
    ),
    metric(
      'CPU per streamed 64 KiB message, there and back',
      'µs',
      cpuMicrosecondsPer(large, CALL_SHAPES['stream-64k'].messages),
    ),
  ]
}
