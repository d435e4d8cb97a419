/** What stands between load and origin on the way out, side by side, and requests or tunnels through each in turn. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Absent, type Contestant, DIRECT_REQUEST, GATEWAY } from '../contestants/contestant.ts'
import { GATEWAY_COMMAND, type RunningGateway, startGateway } from '../contestants/gateway.ts'
import { startSmokescreen } from '../contestants/smokescreen.ts'
import { type Destination, startSquid } from '../contestants/squid.ts'
import type { EgressKind, EgressLoadQuestion } from '../load/egress-load.ts'
import { ask, hear } from '../process/commands.ts'
import type { Started } from '../process/processes.ts'
import { CALLER } from '../world/world.ts'
import { type CalmWindow, inCalmRounds, remarkOnOthers } from './calm-windows.ts'
import { connectedAnswer, portAnswer, windowAnswer } from './load-answers.ts'
import type { BenchContext } from './run-suite.ts'

export const ORIGIN_HOST = 'origin.bench.test'

export interface EgressArenaOptions {
  readonly kind: EgressKind
  /** Of the load generator to each, kept. */
  readonly connections: number
  /** Tunnels that each must be able to hold at once. */
  readonly tunnels: number
  /** Also nothing in between. */
  readonly direct: boolean
}

export interface EgressRun {
  /** Null: closed loop. */
  readonly perSecond: number | null
  readonly warmMs: number
  readonly windowMs: number
}

export interface WarmUp {
  readonly operations: number
  readonly atLeastMs: number
  readonly atMostMs: number
}

export interface EgressArena {
  readonly contestants: readonly Contestant[]
  /** Who does not take part, and why. */
  readonly skipped: readonly string[]
  readonly load: Started
  /** Each for so long, and longer until it has done so much: until then a starved process is still compiling. */
  warm(until: WarmUp): Promise<void>
  /** Every contestant, so many times. */
  run(rounds: number, run: EgressRun): Promise<Record<string, CalmWindow[]>>
  /** Who was skipped, and whether the machine was busy with others; a quick run judges nothing. */
  remarks(windows: Readonly<Record<string, readonly CalmWindow[]>>): string[]
  close(): Promise<void>
}

const WARM_WINDOW_MS = 500
const runCommand = promisify(execFile)
const script = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export async function openEgressArena(
  { world, note, quick }: BenchContext,
  { kind, connections, tunnels, direct }: EgressArenaOptions,
): Promise<EgressArena> {
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
  const destination = { host: ORIGIN_HOST, port: (await hear(origin, portAnswer)).port }

  const gateway = await startGateway(world, { nameServerPort, destination })
  const [squid, smokescreen, token] = await Promise.all([
    startSquid(world, destination, tunnels),
    startSmokescreen(world, destination, nameServerPort),
    issueToken(gateway),
  ])
  const contestants: Contestant[] = [ourEgress(gateway)]
  const skipped: string[] = []
  const take = (one: Contestant | Absent) => {
    if ('skipped' in one) skipped.push(`${one.name} left out: ${one.skipped}`)
    else contestants.push(one)
  }
  take(squid)
  take(smokescreen)
  for (const line of skipped) note(line)
  if (direct) contestants.push(noneBetween(destination))

  for (const { name, port } of contestants) {
    const question: EgressLoadQuestion = {
      do: 'connect',
      target: name,
      kind,
      proxyPort: port,
      host: destination.host,
      originPort: destination.port,
      proxyAuthorization: name === GATEWAY ? `Bearer ${token}` : null,
      connections,
    }
    await ask(load, question, connectedAnswer)
  }
  const runOnce = ({ name, pids }: Contestant, run: EgressRun) => {
    const question: EgressLoadQuestion = { do: 'run', target: name, pids: [...pids()], ...run }
    return ask(load, question, windowAnswer)
  }
  return {
    contestants,
    skipped,
    load,
    run: (rounds, run) =>
      inCalmRounds({ rounds, contestants, cores: world.cores, quick }, (one) => runOnce(one, run)),
    remarks: (windows) => [...skipped, ...(quick ? [] : remarkOnOthers(windows))],
    async warm({ operations, atLeastMs, atMostMs }) {
      for (const one of contestants) {
        const began = performance.now()
        const passed = () => performance.now() - began
        let done = 0
        while (passed() < atLeastMs || (done < operations && passed() < atMostMs)) {
          const windowMs = Math.min(WARM_WINDOW_MS, atLeastMs)
          const { completed } = await runOnce(one, { perSecond: null, warmMs: 0, windowMs })
          done += completed
        }
      }
    },
    close: async () => {
      await Promise.all([nameServer, origin, load, ...contestants].map((one) => one.stop()))
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

/** The origin takes absolute form as well, so it gets the very same request. */
function noneBetween({ port }: Destination): Contestant {
  return { name: DIRECT_REQUEST, port, pids: () => [], stop: async () => {} }
}

/** For the agent that the policy of the bench lets out, good for an hour. */
export async function issueToken({ configFile }: RunningGateway): Promise<string> {
  const args = ['issue-token', '--config', configFile, '--agent-id', CALLER, '--ttl', '1h']
  const { stdout } = await runCommand(process.execPath, [GATEWAY_COMMAND, ...args])
  return stdout.trim()
}
