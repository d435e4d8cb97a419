/** What stands between load and peer, side by side, and calls through each of them in turn. */
import { type Contestant, DIRECT, GATEWAY } from '../contestants/contestant.ts'
import { type RunningGateway, startGateway } from '../contestants/gateway.ts'
import { startGrpcJsProxy } from '../contestants/grpc-js.ts'
import { startNginxProxy } from '../contestants/nginx.ts'
import type { CallKind, GrpcLoadQuestion } from '../load/grpc-load.ts'
import type { Window } from '../measure/load-window.ts'
import type { BenchOptions } from '../options.ts'
import { ask } from '../process/commands.ts'
import type { Started } from '../process/processes.ts'
import type { World } from '../world/world.ts'
import { type CalmWindow, inCalmRounds } from './calm-windows.ts'
import { windowAnswer } from './load-answers.ts'
import type { BenchContext } from './run-suite.ts'
import type { Stage } from './stage.ts'

export const CONNECTIONS = 4
export const CONCURRENCY = 32

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
  run(rounds: number, call: CallRun): Promise<Record<string, CalmWindow[]>>
  close(): Promise<void>
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
  { world, note, quick, stage: setStage }: BenchContext,
  { direct }: { readonly direct: boolean },
): Promise<Arena> {
  const stage = await setStage()
  const [gateway, grpcJs, nginx] = await Promise.all([
    startOurs(world, stage),
    startGrpcJsProxy(world, stage.backendPort),
    startNginxProxy(world, stage.backendPort),
  ])
  const contestants: Contestant[] = [asContestant(gateway), grpcJs]
  const skipped: string[] = []
  if ('skipped' in nginx) skipped.push(`${nginx.name} left out: ${nginx.skipped}`)
  else contestants.push(nginx)
  for (const line of skipped) note(line)
  if (direct) contestants.push(noneBetween(world, stage))
  for (const contestant of contestants) await stage.connect(contestant, CONNECTIONS)
  return {
    contestants,
    skipped,
    run: (rounds, call) =>
      inCalmRounds({ rounds, contestants, cores: world.cores, quick }, ({ name, pids }) =>
        runOnce(stage.load, name, pids(), call),
      ),
    close: async () => {
      await Promise.all(contestants.map((one) => one.stop()))
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
