/**
 * The directory of a CA. The manifest `ca.json` is written last and names the certificates by fingerprint:
 * a directory without it is half made and is never used.
 */
import { constants } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { fileFault, hasErrorCode } from '../disk/file-fault.ts'
import { syncDirectory, writeSynced } from '../disk/synced-file.ts'
import { REVOKED_FILE } from '../revocation/revoked-records.ts'

export const CA_FILES = ['root.crt', 'root.key', 'intermediate.crt', 'intermediate.key'] as const
export type CaFileName = (typeof CA_FILES)[number]

export interface CaManifest {
  readonly version: 1
  readonly trustDomain: string
  readonly meshDomain: string
  /** SHA-256 of the certificates, lower-case hexadecimal. */
  readonly root: string
  readonly intermediate: string
}

const MANIFEST = 'ca.json'

/** @throws MeshError MESH_PKI_EXISTS when anything is there already, MESH_DISK_WRITE. */
export async function writeCaFiles(
  dir: string,
  files: Readonly<Record<CaFileName, string>>,
  manifest: CaManifest,
): Promise<void> {
  await claimDirectory(dir)
  const mine: string[] = []
  try {
    for (const name of CA_FILES) {
      const path = join(dir, name)
      await writeSynced(path, files[name], 0o600)
      mine.push(path)
    }
    // nothing is revoked yet: where it is missing later, that is not known any more
    const revoked = join(dir, REVOKED_FILE)
    await writeSynced(revoked, '', 0o600)
    mine.push(revoked)
    const draft = join(dir, `${MANIFEST}.draft`)
    await writeSynced(draft, `${JSON.stringify(manifest, null, 2)}\n`, 0o600)
    mine.push(draft)
    await syncDirectory(dir)
    await rename(draft, join(dir, MANIFEST))
    await syncDirectory(dir)
  } catch (error) {
    // what this call wrote it takes away again, and nothing else: another init may be at work
    await Promise.allSettled(mine.map((path) => rm(path)))
    if (hasErrorCode(error, 'EEXIST')) throw exists(dir)
    throw fileFault('MESH_DISK_WRITE', dir, error)
  }
}

/** @throws MeshError MESH_PKI_NOT_FOUND, MESH_PKI_INVALID. */
export async function readManifest(dir: string): Promise<CaManifest> {
  const text = await readFile(join(dir, MANIFEST), 'utf8').catch(async (error: unknown) => {
    if (!hasErrorCode(error, 'ENOENT')) throw fileFault('MESH_PKI_NOT_FOUND', dir, error)
    const found = await readdir(dir).catch((): string[] => [])
    if (!CA_FILES.some((name) => found.includes(name)))
      throw new MeshError('MESH_PKI_NOT_FOUND', `there is no CA in ${dir}`)
    throw new MeshError('MESH_PKI_INVALID', `the CA in ${dir} is half made: ca.json is missing`, {
      hint: 'if `mesh-pki init` was interrupted, remove the directory and run it again',
    })
  })
  const manifest = parseManifest(text)
  if (manifest === null)
    throw new MeshError('MESH_PKI_INVALID', `ca.json in ${dir} is not that of a CA`, {
      hint: 'restore the directory from its backup',
    })
  return manifest
}

/** @throws MeshError MESH_PKI_INVALID when the file cannot be read. */
export async function readCaFile(dir: string, name: CaFileName): Promise<string> {
  return readFile(join(dir, name), 'utf8').catch((error: unknown) => {
    throw fileFault('MESH_PKI_INVALID', join(dir, name), error)
  })
}

async function claimDirectory(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    const handle = await open(dir, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      if ((await readdir(dir)).length > 0) throw exists(dir)
      await handle.chmod(0o700)
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (error instanceof MeshError) throw error
    if (hasErrorCode(error, 'EEXIST') || hasErrorCode(error, 'ENOTDIR')) throw exists(dir)
    throw fileFault('MESH_DISK_WRITE', dir, error)
  }
}

function exists(dir: string): MeshError {
  return new MeshError('MESH_PKI_EXISTS', `${dir} is not empty, and is not overwritten`, {
    hint: 'choose another directory; if an earlier `mesh-pki init` was interrupted there, remove it first',
  })
}

function parseManifest(text: string): CaManifest | null {
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null) return null
  const field = (name: string): string => {
    const found: unknown = Reflect.get(value, name)
    return typeof found === 'string' ? found : ''
  }
  const manifest = {
    version: 1,
    trustDomain: field('trustDomain'),
    meshDomain: field('meshDomain'),
    root: field('root'),
    intermediate: field('intermediate'),
  } as const
  const complete = Object.values(manifest).every((each) => each !== '')
  return Reflect.get(value, 'version') === 1 && complete ? manifest : null
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // not JSON is not a manifest: the caller says so
    return null
  }
}
