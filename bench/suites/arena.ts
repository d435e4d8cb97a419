/** Where delegated calls are measured: a name server, a peer, a load generator, and what stands between them. */
import { fileURLToPath } from 'node:url'
import { type BenchContext, type Contestant, DIRECT, GATEWAY } from '../contestants/contestant.ts'
import { type RunningGateway, startGateway } from '../contestants/gateway.ts'
import { startGrpcJsProxy } from '../contestants/grpc-js.ts'
import { startNginx } from '../contestants/nginx.ts'
import type { CallKind, GrpcLoadQuestion } from '../load/grpc-load.ts'
import type { Window } from '../measure/load-window.ts'
import type { BenchOptions } from '../options.ts'
import { ask, hear } from '../process/commands.ts'
import type { Started } from '../process/processes.ts'
import { CALLEE_NAME, type World } from '../world/world.ts'
import { connectedAnswer, portAnswer, windowAnswer } from './load-answers.ts'
import { inRounds } from './suite.ts'

export const CONNECTIONS = 4
export const CONCURRENCY = 32

/** What a gateway stands between. */
export interface Stage {
  readonly load: Started
  readonly backendPort: number
  readonly nameServerPort: number
  connect(to: Pick<Contestant, 'name' | 'port' | 'identity'>, connections: number): Promise<void>
  close(): Promise<void>
}

export interface CallRun {
  readonly kind: CallKind
  readonly concurrency: number
  /** Null: closed loop. */
  readonly perSecond: number | null
  readonly warmMs: number
  readonly windowMs: number
}

export interface Arena {
  readonly contestants: readonly Contestant[]
  /** Who does not take part, and why. */
  readonly skipped: readonly string[]
  /** Every contestant, so many times. */
  run(rounds: number, call: CallRun): Promise<Record<string, Window[]>>
  close(): Promise<void>
}

export async function setStage({ identities, cores, processes }: World): Promise<Stage> {
  const start = (name: string, path: string, ...args: string[]) =>
    processes.start({
      name,
      command: process.execPath,
      args: [fileURLToPath(new URL(path, import.meta.url)), ...args],
      core: cores.rest,
    })
  const names = start('name server', '../backends/name-server.ts')
  const backend = start('backend', '../backends/grpc-echo.ts', identities.callee)
  const load = start('load generator', '../load/grpc-load.ts', identities.caller)
  const nameServerPort = (await hear(names, portAnswer)).port
  const backendPort = (await hear(backend, portAnswer)).port
  return {
    load,
    backendPort,
    nameServerPort,
    async connect({ name, port, identity }, connections) {
      const question: GrpcLoadQuestion = {
        do: 'connect',
        target: name,
        port,
        serverName: CALLEE_NAME,
        authority: `${CALLEE_NAME}:${backendPort}`,
        connections,
        identity: identity ?? null,
      }
      await ask(load, question, connectedAnswer)
    },
    close: async () => {
      await Promise.all([load, backend, names].map((one) => one.stop()))
    },
  }
}

/** Our gateway alone, with what stands on both sides of it. */
export function startOurs(world: World, stage: Stage): Promise<RunningGateway> {
  return startGateway(world, { nameServerPort: stage.nameServerPort, destination: null })
}

export function asContestant(gateway: RunningGateway): Contestant {
  return {
    name: GATEWAY,
    port: gateway.delegationPort,
    pids: () => [gateway.process.pid],
    stop: () => gateway.process.stop(),
  }
}

/** All that carry delegated calls; with `direct`, also nothing in between. */
export async function openArena(
  { world, note }: BenchContext,
  { direct }: { readonly direct: boolean },
): Promise<Arena> {
  const stage = await setStage(world)
  const contestants: Contestant[] = [
    asContestant(await startOurs(world, stage)),
    await startGrpcJsProxy(world, stage.backendPort),
  ]
  const skipped: string[] = []
  const nginx = await startNginx(world, stage.backendPort)
  if ('skipped' in nginx) skipped.push(`${nginx.name} left out: ${nginx.skipped}`)
  else contestants.push(nginx)
  for (const line of skipped) note(line)
  if (direct) contestants.push(noneBetween(world, stage))
  for (const contestant of contestants) await stage.connect(contestant, CONNECTIONS)
  return {
    contestants,
    skipped,
    run: (rounds, call) =>
      inRounds(
        rounds,
        contestants.map(({ name }) => name),
        (name) => {
          const pids = contestants.find((one) => one.name === name)?.pids() ?? []
          return runOnce(stage.load, name, pids, call)
        },
      ),
    close: async () => {
      await Promise.all([...contestants.map((one) => one.stop()), stage.close()])
    },
  }
}

export function runOnce(
  load: Started,
  target: string,
  pids: readonly number[],
  call: CallRun,
): Promise<Window> {
  const question: GrpcLoadQuestion = { do: 'run', target, pids: [...pids], ...call }
  return ask(load, question, windowAnswer)
}

/** What a window of a suite is like. */
export function windowOf({ warmMs, windowMs }: BenchOptions) {
  return { warmMs, windowMs }
}

/** The peer takes a gateway and nobody else, so its certificate is shown. */
function noneBetween(world: World, stage: Stage): Contestant {
  return {
    name: DIRECT,
    port: stage.backendPort,
    identity: world.identities.gateway,
    pids: () => [],
    stop: async () => {},
  }
}
