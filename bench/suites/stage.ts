/** Where delegated calls are measured: a name server, a peer and a load generator, for all suites of a run. */
import { fileURLToPath } from 'node:url'
import type { Contestant } from '../contestants/contestant.ts'
import type { GrpcLoadQuestion } from '../load/grpc-load.ts'
import { ask, hear } from '../process/commands.ts'
import type { Started } from '../process/processes.ts'
import { CALLEE_NAME, type World } from '../world/world.ts'
import { connectedAnswer, disconnectedAnswer, portAnswer } from './load-answers.ts'

/** Pauses of these processes are not to be taken for those of what is measured. docs/discoveries/born-old-they-keep-the-young.md */
const YOUNG = ['--no-allocation-site-pretenuring', '--external-memory-accounted-in-global-limit']

/** Its processes end with the world. */
export interface Stage {
  readonly load: Started
  readonly backendPort: number
  readonly nameServerPort: number
  connect(to: Pick<Contestant, 'name' | 'port' | 'identity'>, connections: number): Promise<void>
  disconnect(name: string): Promise<void>
}

/** Sets it when it is first asked for. */
export function createStage(world: World): () => Promise<Stage> {
  let stage: Promise<Stage> | null = null
  return () => {
    stage ??= setStage(world)
    return stage
  }
}

async function setStage({ identities, cores, processes }: World): Promise<Stage> {
  const start = (name: string, path: string, ...args: string[]) =>
    processes.start({
      name,
      command: process.execPath,
      args: [...YOUNG, fileURLToPath(new URL(path, import.meta.url)), ...args],
      core: cores.rest,
    })
  const backend = start('backend', '../backends/grpc-echo.ts', identities.callee)
  const load = start('load generator', '../load/grpc-load.ts', identities.caller)
  const backendPort = (await hear(backend, portAnswer)).port
  const names = start('name server', '../backends/name-server.ts', String(backendPort))
  const nameServerPort = (await hear(names, portAnswer)).port
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
    async disconnect(target) {
      const question: GrpcLoadQuestion = { do: 'disconnect', target }
      await ask(load, question, disconnectedAnswer)
    },
  }
}
