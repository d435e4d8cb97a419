/**
 * What every contestant gets: a temporary directory, one CA of @clawmesh/pki and certificates of it,
 * the cores, the processes. `close` ends and removes all of it.
 */
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { initCa, openCa, writeIdentity } from '@clawmesh/pki'
import { Secret } from '@clawmesh/proto'
import { type Cores, chooseCores } from '../process/cores.ts'
import { createProcesses, type Processes } from '../process/processes.ts'

export const TRUST_DOMAIN = 'mesh.internal'
export const TENANT = 'acme'
export const CALLER = 'planner'
export const CALLEE = 'researcher'
export const CALLEE_NAME = `${CALLEE}.${TENANT}.${TRUST_DOMAIN}`

/** SPIFFE ID of an agent of the tenant. */
export function agentId(agent: string): string {
  return `spiffe://${TRUST_DOMAIN}/tenant/${TENANT}/agent/${agent}`
}

export interface World {
  readonly dir: string
  /** Directories with tls.crt, tls.key and ca.crt. */
  readonly identities: {
    readonly gateway: string
    readonly caller: string
    readonly callee: string
  }
  readonly cores: Cores
  readonly processes: Processes
  close(): Promise<void>
}

/** @param quick processes start faster, by what those before them have compiled; not as they do at an operator's */
export async function createWorld({ quick }: { readonly quick: boolean }): Promise<World> {
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-bench-'))
  // squid and nginx started by root give up root and must still reach their own corners
  await chmod(dir, 0o755)
  const processes = createProcesses(quick ? { NODE_COMPILE_CACHE: join(dir, 'compiled') } : {})
  const identities = {
    gateway: join(dir, 'gateway'),
    caller: join(dir, 'caller'),
    callee: join(dir, 'callee'),
  }
  try {
    await issueAll(dir, identities)
  } catch (error) {
    await rm(dir, { recursive: true, force: true })
    throw error
  }
  return {
    dir,
    identities,
    cores: chooseCores(),
    processes,
    async close() {
      await processes.stopAll()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** A fresh directory in the world. */
export async function makeDir(world: World, name: string, mode = 0o700): Promise<string> {
  const path = join(world.dir, name)
  await mkdir(path, { recursive: true })
  await chmod(path, mode)
  return path
}

async function issueAll(dir: string, identities: World['identities']): Promise<void> {
  const passphrase = new Secret(randomBytes(24).toString('hex'))
  await initCa({
    ...{ dir: join(dir, 'ca'), trustDomain: TRUST_DOMAIN, passphrase },
    keyIterations: 1_000,
  })
  const ca = await openCa({ dir: join(dir, 'ca'), passphrase })
  await writeIdentity(identities.gateway, ca.issueGateway({ name: 'bench', tenants: [TENANT] }))
  await writeIdentity(identities.caller, ca.issueAgent({ tenant: TENANT, agent: CALLER }))
  await writeIdentity(identities.callee, ca.issueAgent({ tenant: TENANT, agent: CALLEE }))
}
