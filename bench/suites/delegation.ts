/** Delegated calls: our gateway against a plain grpc-js proxy and nginx grpc_pass, mTLS on both hops of each. */
import { fileURLToPath } from 'node:url'
import type { BenchContext, Contestant } from '../contestants/contestant.ts'
import { GATEWAY, GRPC_JS, NGINX } from '../contestants/contestant.ts'
import { startGateway } from '../contestants/gateway.ts'
import { startGrpcJsProxy } from '../contestants/grpc-js.ts'
import { startNginx } from '../contestants/nginx.ts'
import { CALL_SHAPES, type CallKind, type GrpcLoadQuestion } from '../load/grpc-load.ts'
import { quantile } from '../measure/statistics.ts'
import type { BenchOptions } from '../options.ts'
import { ask, hear } from '../process/commands.ts'
import { CALLEE_NAME, type World } from '../world/world.ts'
import {
  connectedAnswer,
  cpuMicrosecondsPer,
  failures,
  perSecond,
  portAnswer,
  type Windows,
  windowAnswer,
} from './load-answers.ts'
import { inRounds, type Metric, mapFigures, type SuiteResult } from './suite.ts'

const CONNECTIONS = 4
const CONCURRENCY = 32
const STREAMS = 8

const script = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export async function runDelegation(
  context: BenchContext,
  options: BenchOptions,
): Promise<SuiteResult> {
  const { world, note } = context
  const { contestants, skipped, load } = await prepare(context)
  const names = contestants.map(({ name }) => name)
  const run = (kind: CallKind, concurrency: number, rate: number | null, warmMs?: number) =>
    inRounds(warmMs === undefined ? options.rounds : 1, names, (name) =>
      ask(
        load,
        {
          do: 'run',
          target: name,
          kind,
          concurrency,
          perSecond: rate,
          warmMs: warmMs ?? options.warmMs,
          windowMs: options.windowMs,
          pids: [...(contestants.find((one) => one.name === name)?.pids() ?? [])],
        } satisfies GrpcLoadQuestion,
        windowAnswer,
      ),
    )

  note('delegation: warming up')
  await run('unary', CONCURRENCY, null, options.firstWarmMs)
  note(`delegation: unary calls, ${CONCURRENCY} at once`)
  const closed = await run('unary', CONCURRENCY, null)
  const slowest = Math.min(
    ...Object.values(perSecond(closed)).map((rates) => quantile(rates, 0.5) || 100),
  )
  const rate = Math.max(20, Math.round(slowest / 2))
  note(`delegation: unary calls, ${rate} a second`)
  const open = await run('unary', CONCURRENCY, rate)
  note('delegation: streams')
  const small = await run('stream-1k', STREAMS, null)
  const large = await run('stream-64k', STREAMS, null)

  await Promise.all([...contestants.map((one) => one.stop()), load.stop()])
  return {
    title: 'Delegated calls',
    how: `Unary gRPC calls of ${CALL_SHAPES.unary.bytes} bytes over ${CONNECTIONS} connections, mTLS (TLS 1.3, P-256) on both hops; ${world.cores.note}. Closed loop: ${CONCURRENCY} calls at once. Open loop: ${rate} calls a second for each, half of what the slowest did; latency counts from when a call was due. Streams: ${STREAMS} at once.`,
    metrics: metricsOf({ closed, open, small, large }),
    remarks: [
      ...skipped,
      ...failures('unary calls', closed),
      ...failures('unary calls at a fixed rate', open),
      ...failures('streams of 1 KiB messages', small),
      ...failures('streams of 64 KiB messages', large),
    ],
  }
}

async function prepare(context: BenchContext) {
  const { world, note } = context
  const { identities, cores, processes } = world
  note('delegation: starting the contestants')
  const start = (name: string, path: string, ...args: string[]) =>
    processes.start({
      name,
      command: process.execPath,
      args: [script(path), ...args],
      core: cores.rest,
    })
  const names = start('name server', '../backends/name-server.ts')
  const backend = start('backend', '../backends/grpc-echo.ts', identities.callee)
  const nameServerPort = (await hear(names, portAnswer)).port
  const backendPort = (await hear(backend, portAnswer)).port
  const contestants: Contestant[] = [
    await ourGateway(world, nameServerPort),
    await startGrpcJsProxy(world, backendPort),
  ]
  const skipped: string[] = []
  const nginx = await startNginx(world, backendPort)
  if ('skipped' in nginx) skipped.push(`${nginx.name} left out: ${nginx.skipped}`)
  else contestants.push(nginx)
  for (const line of skipped) note(line)

  const load = start('load generator', '../load/grpc-load.ts', identities.caller)
  for (const { name, port } of contestants) {
    const question: GrpcLoadQuestion = {
      do: 'connect',
      target: name,
      port,
      serverName: CALLEE_NAME,
      authority: `${CALLEE_NAME}:${backendPort}`,
      connections: CONNECTIONS,
    }
    await ask(load, question, connectedAnswer)
  }
  return { contestants, skipped, load }
}

async function ourGateway(world: World, nameServerPort: number): Promise<Contestant> {
  const gateway = await startGateway(world, { nameServerPort, destination: null })
  return {
    name: GATEWAY,
    port: gateway.delegationPort,
    pids: () => [gateway.process.pid],
    stop: () => gateway.process.stop(),
  }
}

function metricsOf(windows: Readonly<Record<'closed' | 'open' | 'small' | 'large', Windows>>) {
  const { closed, open, small, large } = windows
  const plain = { targets: [], limit: null }
  const metrics: Metric[] = [
    {
      name: 'CPU per unary call',
      unit: 'µs',
      figures: cpuMicrosecondsPer(closed),
      targets: [
        { against: GRPC_JS, atMost: 0.5 },
        { against: NGINX, atMost: 2.2 },
      ],
      limit: null,
    },
    { name: 'unary calls per second', unit: '/s', figures: perSecond(closed), ...plain },
    {
      name: 'CPU per unary call at a fixed rate',
      unit: 'µs',
      figures: cpuMicrosecondsPer(open),
      ...plain,
    },
    {
      name: 'latency p50 at a fixed rate',
      unit: 'ms',
      figures: mapFigures(open, ({ p50Ms }) => p50Ms),
      ...plain,
    },
    {
      name: 'latency p99 at a fixed rate',
      unit: 'ms',
      figures: mapFigures(open, ({ p99Ms }) => p99Ms),
      ...plain,
    },
    {
      name: 'CPU per streamed 1 KiB message, there and back',
      unit: 'µs',
      figures: cpuMicrosecondsPer(small, CALL_SHAPES['stream-1k'].messages),
      ...plain,
    },
    {
      name: 'CPU per streamed 64 KiB message, there and back',
      unit: 'µs',
      figures: cpuMicrosecondsPer(large, CALL_SHAPES['stream-64k'].messages),
      ...plain,
    },
  ]
  return metrics
}
