/** A directory that goes away with the test, and a CA in it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Ca, initCa, openCa } from '@clawmesh/pki'
import { Secret } from '@clawmesh/proto'

export const PASSPHRASE = new Secret('a passphrase of the tests')

export interface Scratch {
  readonly dir: string
  path(...names: string[]): string
  remove(): Promise<void>
}

export async function makeScratch(): Promise<Scratch> {
  const dir = await mkdtemp(join(tmpdir(), 'mesh-pki-'))
  return {
    dir,
    path: (...names) => join(dir, ...names),
    remove: () => rm(dir, { recursive: true, force: true }),
  }
}

export async function makeCa(dir: string, trustDomain = 'mesh.internal'): Promise<Ca> {
  await initCa({ dir, trustDomain, passphrase: PASSPHRASE, keyIterations: 1_000 })
  return openCa({ dir, passphrase: PASSPHRASE })
}
