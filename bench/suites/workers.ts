/** How many requests per second a gateway of two workers answers, against one of one. */
import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startNginxOrigin } from '../backends/nginx-origin.ts'
import { startGateway } from '../contestants/gateway.ts'
import { absoluteFormGet } from '../load/egress-wire.ts'
import { startWrk } from '../load/wrk.ts'
import { cpuNanoseconds, withDescendants } from '../measure/cpu-time.ts'
import { mostSpeedUp } from '../measure/speed-up.ts'
import type { BenchOptions } from '../options.ts'
import { hear } from '../process/commands.ts'
import type { World } from '../world/world.ts'
import { issueToken, ORIGIN_HOST } from './egress-arena.ts'
import { portAnswer } from './load-answers.ts'
import type { BenchContext } from './run-suite.ts'
import { inRounds, mapFigures, metric, type SuiteResult } from './suite.ts'

const ONE = 'one worker'
const TWO = 'two workers'
const CONNECTIONS = 64
const SECONDS = 3
/** At both ends of a run, not counted: connections are made and closed. */
const MARGIN_MS = 200
const NAME_SERVER = fileURLToPath(new URL('../backends/name-server.ts', import.meta.url))

interface Target {
  readonly pid: number
  readonly port: number
  readonly request: string
}

/** Of one run. CPU in microseconds per request: the gateway's, and load generator's and origin's. */
interface Share {
  readonly perSecond: number
  readonly failed: number
  readonly own: number
  readonly rest: number
}

export async function runWorkers(
  context: BenchContext,
  options: BenchOptions,
): Promise<SuiteResult> {
  const { world, note } = context
  const missing = ['wrk', 'nginx'].flatMap((command) =>
    spawnSync(command, ['-v']).error === undefined ? [] : [`${command} is not installed`],
  )
  if (missing.length > 0) return resultOf({}, [`left out: ${missing.join(', ')}`])
  note('workers: starting')
  const names = world.processes.start({
    name: 'name server',
    command: process.execPath,
    args: [NAME_SERVER],
    core: null,
  })
  const nameServerPort = (await hear(names, portAnswer)).port
  const origin = await startNginxOrigin(world)
  const start = async (workers?: number) => {
    const destination = { host: ORIGIN_HOST, port: origin.port }
    const gateway = await startGateway(world, {
      ...{ nameServerPort, destination, core: null },
      ...(workers === undefined ? {} : { workers, name: `mesh-gateway-${workers}` }),
    })
    const proxyAuthorization = `Bearer ${await issueToken(gateway)}`
    const request = absoluteFormGet({ ...destination, proxyAuthorization })
    return { pid: gateway.process.pid, port: gateway.egressPort, request, gateway }
  }
  const end = (...more: { stop(): Promise<void> }[]) =>
    Promise.all([names, origin, ...more].map((each) => each.stop()))

  const one = await start()
  const two = await start(2)
  const targets: Readonly<Record<string, Target>> = { [ONE]: one, [TWO]: two }
  const seconds = options.quick ? 1 : SECONDS
  const run = (rounds: number) =>
    inRounds(rounds, [ONE, TWO], (name) => {
      return measureOnce(world, targets[name] ?? one, origin.pids(), seconds)
    })
  if (!options.quick) await run(1)
  note(`workers: requests, ${CONNECTIONS} at once`)
  const shares = await run(options.rounds)
  await end(one.gateway.process, two.gateway.process)
  const failures = Object.entries(shares).flatMap(([name, all]) => {
    const failed = all.reduce((sum, share) => sum + share.failed, 0)
    return failed === 0 ? [] : [`requests: ${failed} failed through ${name}`]
  })
  return resultOf(shares, failures)
}

async function measureOnce(
  world: World,
  { pid, port, request }: Target,
  originPids: readonly number[],
  seconds: number,
): Promise<Share> {
  const wrk = await startWrk(world, { port, request, connections: CONNECTIONS, seconds })
  const cpu = () => {
    const own = cpuNanoseconds(withDescendants(pid))
    return { at: performance.now(), own, rest: cpuNanoseconds([wrk.process.pid, ...originPids]) }
  }
  await sleep(MARGIN_MS)
  const before = cpu()
  await sleep(seconds * 1000 - 2 * MARGIN_MS)
  const after = cpu()
  const { completed, failed, wallMs } = await wrk.result()
  await wrk.process.ended
  const perSecond = (completed * 1000) / wallMs
  const meanwhile = (perSecond * (after.at - before.at)) / 1000
  return {
    perSecond,
    failed,
    own: (after.own - before.own) / 1000 / meanwhile,
    rest: (after.rest - before.rest) / 1000 / meanwhile,
  }
}

function resultOf(
  shares: Readonly<Record<string, readonly Share[]>>,
  remarks: readonly string[],
): SuiteResult {
  const cores = availableParallelism()
  const { [ONE]: ones = [], [TWO]: twos = [] } = shares
  const measured = twos.map((two, round) => two.perSecond / (ones[round]?.perSecond ?? Number.NaN))
  const bound = ones.map(({ own, rest }) => mostSpeedUp({ cores, own, rest }))
  return {
    title: 'Two workers',
    how: `GET in absolute form with token, policy, address rules and audit, by wrk (one thread, ${CONNECTIONS} connections), answered by nginx with 256 bytes; two gateways, \`workers\` 1 and 2, in turn. Nothing is pinned: two workers, wrk and nginx share ${cores} cores, and the kernel places them better than a fixed share could. So two workers cannot bring twice as much: with G the gateway's CPU per request and L that of wrk and nginx, both of the same round with one worker, they can bring at most 2G ÷ (G + L) on two cores (*at most*).`,
    metrics:
      ones.length === 0
        ? []
        : [
            metric(
              'requests per second',
              '/s',
              mapFigures(shares, ({ perSecond }) => perSecond),
            ),
            metric('two workers ÷ one', '×', { measured, 'at most': bound }),
            metric(
              'CPU per request',
              'µs',
              mapFigures(shares, ({ own }) => own),
            ),
            metric(
              'CPU of wrk and nginx per request',
              'µs',
              mapFigures(shares, ({ rest }) => rest),
            ),
          ],
    remarks,
  }
}
