/** A real cluster of one node, in namespaces of its own. It takes the place of nothing: all of it is what clusters run. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from '../../support/wait-for.ts'
import { type Commands, createCommands } from '../api-server/commands.ts'
import { type Access, startApiServer } from '../api-server/control-plane.ts'
import { createPrograms, type Programs } from '../api-server/programs.ts'
import { startControllers } from './controllers.ts'
import {
  type Containerd,
  importPause,
  NODE_NAME,
  startContainerd,
  startFirewall,
  startNode,
} from './node-programs.ts'
import { createNodeWorld, enter, type NodeWorld } from './node-world.ts'

export interface Cluster extends Access, Commands {
  readonly world: NodeWorld
  readonly programs: Programs
  readonly containerd: Containerd
  /** How long it took until it was ready, in milliseconds. */
  readonly times: Readonly<Record<string, number>>
  startFirewall(): Promise<void>
  close(): Promise<void>
}

const READY = { withinMs: 300_000, everyMs: 500 }

export async function startCluster(): Promise<Cluster> {
  const dir = await mkdtemp(join(tmpdir(), 'k'))
  const world = createNodeWorld(dir)
  const programs = createPrograms(dir, enter('node'))
  const containerd = startContainerd(world, programs)
  const close = async () => {
    try {
      for (const name of ['kube-router', 'kube-proxy', 'kubelet']) await programs.stop(name)
      containerd.removeAll()
    } finally {
      await programs.close()
      await world.close()
      await rm(dir, { recursive: true, force: true })
    }
  }
  try {
    return { ...(await whenReady(world, programs, containerd)), close }
  } catch (cause) {
    await close()
    throw cause
  }
}

async function whenReady(
  world: NodeWorld,
  programs: Programs,
  containerd: Containerd,
): Promise<Omit<Cluster, 'close'>> {
  const began = performance.now()
  const times: Record<string, number> = {}
  const took = (what: string) => {
    times[what] = Math.round(performance.now() - began)
  }
  const access = await startApiServer(world.dir, programs)
  const { kubeconfig } = access
  const commands = await createCommands({ kubeconfig, dir: world.dir, by: enter('node') })
  const ready = async (what: string, ...args: readonly string[]) => {
    await waitFor(
      what,
      async () => {
        programs.assertAlive()
        return (await commands.tryKubectl(args)).code === 0
      },
      READY,
    )
    took(what)
  }
  await ready('the API server', 'get', '--raw', '/readyz')
  await waitFor('containerd', () => isUp(containerd), READY)
  await importPause(world, containerd)
  await startNode(world, programs, access)
  await startControllers(world.dir, programs, access)
  await ready('the node', 'wait', '--for=condition=Ready', `node/${NODE_NAME}`, '--timeout=1s')
  return {
    ...access,
    ...{ ...commands, world, programs, containerd, times },
    startFirewall: () => startFirewall(programs, access),
  }
}

function isUp({ ctr }: Containerd): boolean {
  try {
    ctr('version')
    return true
  } catch {
    // its socket is not there yet
    return false
  }
}
