/** An API server of Kubernetes alone: it takes, judges and keeps objects, and signs tokens, and nothing acts on them. */
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from '../../support/wait-for.ts'
import { NODE_ADDRESS } from '../policies/addresses.ts'
import { type Commands, createCommands } from './commands.ts'
import { type Access, startApiServer } from './control-plane.ts'
import { createPrograms } from './programs.ts'

export interface ApiServer extends Access, Commands {
  readonly dir: string
  /** How long it took until it was ready, in milliseconds. */
  readonly readyMs: number
  close(): Promise<void>
}

/** Only what hangs takes so long. */
const READY = { withinMs: 240_000, everyMs: 500 }
/** Where it is within a cluster: https://kubernetes.default.svc.cluster.local */
const PORT = 443

/** In a network of its own, where its address is on loopback. */
export async function startApiServerAlone(): Promise<ApiServer> {
  const dir = await mkdtemp(join(tmpdir(), 'k'))
  const programs = createPrograms(dir)
  const etcd = join(dir, 'etcd')
  const close = async () => {
    await programs.close()
    spawnSync('umount', ['--lazy', etcd])
    spawnSync('ip', ['address', 'delete', `${NODE_ADDRESS}/32`, 'dev', 'lo'])
    await rm(dir, { recursive: true, force: true })
  }
  try {
    spawnSync('ip', ['address', 'add', `${NODE_ADDRESS}/32`, 'dev', 'lo'], { stdio: 'inherit' })
    mkdirSync(etcd)
    // it syncs each write, which a disk makes slow
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'mode=0700', 'etcd', etcd], { stdio: 'inherit' })
    const began = performance.now()
    const access = await startApiServer(dir, programs, PORT)
    const commands = await createCommands({ kubeconfig: access.kubeconfig, dir })
    await waitFor(
      'the API server',
      async () => {
        programs.assertAlive()
        return (await commands.tryKubectl(['get', '--raw', '/readyz'])).code === 0
      },
      READY,
    )
    const readyMs = Math.round(performance.now() - began)
    return { ...access, ...commands, dir, readyMs, close }
  } catch (cause) {
    await close()
    throw cause
  }
}
