/** The plain @grpc/grpc-js proxy of bench/baselines. */
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { hear } from '../process/commands.ts'
import { CALLEE_NAME, type World } from '../world/world.ts'
import { type Contestant, GRPC_JS } from './contestant.ts'

const SCRIPT = fileURLToPath(new URL('../baselines/grpc-js-proxy.ts', import.meta.url))

export async function startGrpcJsProxy(world: World, backendPort: number): Promise<Contestant> {
  const proxy = world.processes.start({
    name: GRPC_JS,
    command: process.execPath,
    args: [SCRIPT, world.identities.gateway, `${backendPort}`, CALLEE_NAME],
    core: world.cores.tested,
  })
  const { port } = await hear(proxy, z.object({ port: z.int() }))
  return { name: GRPC_JS, port, pids: () => [proxy.pid], stop: () => proxy.stop() }
}
