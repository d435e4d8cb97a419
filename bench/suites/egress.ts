/** The egress port against squid: requests in absolute form, and bytes through tunnels. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type BenchContext, type Contestant, GATEWAY, SQUID } from '../contestants/contestant.ts'
import { GATEWAY_COMMAND, type RunningGateway, startGateway } from '../contestants/gateway.ts'
import { startSquid } from '../contestants/squid.ts'
import type { EgressLoadQuestion } from '../load/egress-load.ts'
import { TUNNEL_BYTES } from '../load/egress-wire.ts'
import { quantile } from '../measure/statistics.ts'
import type { BenchOptions } from '../options.ts'
import { ask, hear } from '../process/commands.ts'
import { CALLER } from '../world/world.ts'
import {
  connectedAnswer,
  cpuMicrosecondsPer,
  failures,
  perSecond,
  portAnswer,
  windowAnswer,
} from './load-answers.ts'
import { inRounds, mapFigures, type SuiteResult } from './suite.ts'

const HOST = 'origin.bench.test'
const REQUEST_CONNECTIONS = 32
const TUNNELS = 4
const MEGABYTES_PER_EXCHANGE = (2 * TUNNEL_BYTES) / 1e6

const run = promisify(execFile)
const script = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const plain = { targets: [], limit: null }

export async function runEgress(
  context: BenchContext,
  options: BenchOptions,
): Promise<SuiteResult> {
  const { note, world } = context
  const arena = await prepare(context, options, 'request', REQUEST_CONNECTIONS)
  note(`egress: requests, ${REQUEST_CONNECTIONS} at once`)
  const closed = await arena.measure(null)
  const slowest = Math.min(
    ...Object.values(perSecond(closed)).map((rates) => quantile(rates, 0.5) || 100),
  )
  const rate = Math.max(20, Math.round(slowest / 2))
  note(`egress: requests, ${rate} a second`)
  const open = await arena.measure(rate)
  await arena.close()
  return {
    title: 'Egress requests',
    how: `GET in absolute form, answered with 256 bytes, over ${REQUEST_CONNECTIONS} kept connections; ours with token, policy and audit, squid with one allow rule and its access log; ${world.cores.note}. Open loop: ${rate} requests a second for each.`,
    metrics: [
      {
        name: 'CPU per request',
        unit: 'µs',
        figures: cpuMicrosecondsPer(closed),
        targets: [{ against: SQUID, atMost: 1.5 }],
        limit: null,
      },
      { name: 'requests per second', unit: '/s', figures: perSecond(closed), ...plain },
      {
        name: 'CPU per request at a fixed rate',
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
    ],
    remarks: [
      ...arena.skipped,
      ...failures('requests', closed),
      ...failures('requests at a fixed rate', open),
    ],
  }
}

export async function runTunnel(
  context: BenchContext,
  options: BenchOptions,
): Promise<SuiteResult> {
  const { note, world } = context
  const arena = await prepare(context, options, 'tunnel', TUNNELS)
  note(`tunnel: ${TUNNELS} at once`)
  const closed = await arena.measure(null)
  await arena.close()
  return {
    title: 'Tunnels',
    how: `${TUNNELS} tunnels by CONNECT that begin with a ClientHello, each moving ${TUNNEL_BYTES / 1024} KiB up, then down, over and over; ${world.cores.note}.`,
    metrics: [
      {
        name: 'CPU per megabyte',
        unit: 'µs',
        figures: cpuMicrosecondsPer(closed, MEGABYTES_PER_EXCHANGE),
        ...plain,
      },
      {
        name: 'megabytes per second',
        unit: 'MB/s',
        figures: mapFigures(perSecond(closed), (rate) => rate * MEGABYTES_PER_EXCHANGE),
        ...plain,
      },
    ],
    remarks: [...arena.skipped, ...failures('exchanges', closed)],
  }
}

async function prepare(
  context: BenchContext,
  options: BenchOptions,
  kind: 'request' | 'tunnel',
  connections: number,
) {
  const { world, note } = context
  note(`${kind === 'request' ? 'egress' : 'tunnel'}: starting the contestants`)
  const start = (name: string, path: string) =>
    world.processes.start({
      name,
      command: process.execPath,
      args: [script(path)],
      core: world.cores.rest,
    })
  const nameServer = start('name server', '../backends/name-server.ts')
  const origin = start('origin', '../backends/http-origin.ts')
  const load = start('load generator', '../load/egress-load.ts')
  const nameServerPort = (await hear(nameServer, portAnswer)).port
  const destination = { host: HOST, port: (await hear(origin, portAnswer)).port }

  const gateway = await startGateway(world, { nameServerPort, destination })
  const contestants: Contestant[] = [ourEgress(gateway)]
  const skipped: string[] = []
  const [squid, token] = await Promise.all([startSquid(world, destination), issueToken(gateway)])
  if ('skipped' in squid) skipped.push(`${squid.name} left out: ${squid.skipped}`)
  else contestants.push(squid)
  for (const line of skipped) note(line)

  const credential = `Bearer ${token}`
  for (const { name, port } of contestants) {
    const question: EgressLoadQuestion = {
      do: 'connect',
      target: name,
      kind,
      proxyPort: port,
      host: destination.host,
      originPort: destination.port,
      proxyAuthorization: name === GATEWAY ? credential : null,
      connections,
    }
    await ask(load, question, connectedAnswer)
  }
  const measureOnce = (rate: number | null, rounds: number, warmMs: number) =>
    inRounds(
      rounds,
      contestants.map(({ name }) => name),
      (name) => {
        const pids = contestants.find((one) => one.name === name)?.pids() ?? []
        const question: EgressLoadQuestion = {
          do: 'run',
          target: name,
          perSecond: rate,
          warmMs,
          windowMs: options.windowMs,
          pids: [...pids],
        }
        return ask(load, question, windowAnswer)
      },
    )
  await measureOnce(null, 1, options.firstWarmMs)
  return {
    skipped,
    measure: (rate: number | null) => measureOnce(rate, options.rounds, options.warmMs),
    close: async () => {
      const running = [nameServer, origin, load, ...contestants]
      await Promise.all(running.map((one) => one.stop()))
    },
  }
}

function ourEgress(gateway: RunningGateway): Contestant {
  return {
    name: GATEWAY,
    port: gateway.egressPort,
    pids: () => [gateway.process.pid],
    stop: () => gateway.process.stop(),
  }
}

async function issueToken(gateway: RunningGateway): Promise<string> {
  const args = ['issue-token', '--config', gateway.configFile, '--agent-id', CALLER, '--ttl', '1h']
  const { stdout } = await run(process.execPath, [GATEWAY_COMMAND, ...args])
  return stdout.trim()
}
