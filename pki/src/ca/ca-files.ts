/**
 * The directory of a CA. The manifest `ca.json` is written last and names the certificates by fingerprint: a directory
 * without it is incomplete and is never used. A renewal writes new files beside the old ones as NAME.next, then the
 * manifest that names them, and then moves them into place: killed at any point, it leaves the old CA or the new one,
 * complete.
 */
import { constants } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { withoutByteOrderMark } from '../der/pem.ts'
import { fileFault, hasErrorCode } from '../disk/file-fault.ts'
import { replaceFile } from '../disk/replace-file.ts'
import { syncDirectory, writeSynced } from '../disk/synced-file.ts'
import { REVOKED_FILE } from '../revocation/revoked-records.ts'

export const CA_FILES = ['root.crt', 'root.key', 'intermediate.crt', 'intermediate.key'] as const
export type CaFileName = (typeof CA_FILES)[number]
/**
 * The revocation list of the root. It is made with the root's key and kept, because that key is usually kept elsewhere.
 */
export const ROOT_LIST_FILE = 'root.crl'
/** Held by a command that changes more than one file, or numbers a list. The empty file stays. */
export const LOCK_FILE = 'ca.lock'
/** Folder of the intermediates before. */
export const FORMER = 'former'
/** Ending of a file that a renewal has written and not yet moved into place. */
export const STAGED = '.next'

export interface CaManifest {
  readonly version: 1
  readonly trustDomain: string
  readonly meshDomain: string
  /** SHA-256 of the certificates, lower-case hexadecimal. */
  readonly root: string
  readonly intermediate: string
}

/** Makes a directory a CA. */
export const MANIFEST = 'ca.json'

/** @throws MeshError MESH_PKI_EXISTS when a file already exists, MESH_DISK_WRITE. */
export async function writeCaFiles(
  dir: string,
  files: Readonly<Record<CaFileName | typeof ROOT_LIST_FILE, string>>,
  manifest: CaManifest,
): Promise<void> {
  await claimDirectory(dir)
  const mine: string[] = []
  try {
    for (const name of [...CA_FILES, ROOT_LIST_FILE] as const) {
      const path = join(dir, name)
      await writeSynced(path, files[name], 0o600)
      mine.push(path)
    }
    // empty at first: if it is missing later, the revocations are unknown
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
    // removes only what this call wrote: another init may be running
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

/** The file that a renewal has staged, complete or not; null for none. @throws MeshError MESH_PKI_INVALID */
export async function readStagedFile(dir: string, name: RenewedFile): Promise<string | null> {
  return readFile(join(dir, name + STAGED), 'utf8').catch((error: unknown) => {
    if (hasErrorCode(error, 'ENOENT')) return null
    throw fileFault('MESH_PKI_INVALID', join(dir, name + STAGED), error)
  })
}

export type RenewedFile = 'intermediate.key' | 'intermediate.crt'
/** In the order of moving into place: a key that is still staged belongs to a certificate already in place. */
const RENEWED: readonly RenewedFile[] = ['intermediate.key', 'intermediate.crt']

/**
 * Replaces files and manifest in one step, as described above. Call it under the lock, after `finishRenewal`.
 * @throws MeshError MESH_DISK_WRITE
 */
export async function renewCaFiles(
  dir: string,
  files: Partial<Readonly<Record<RenewedFile, string>>>,
  manifest: CaManifest,
): Promise<void> {
  for (const name of RENEWED) {
    const content = files[name]
    if (content !== undefined) await replaceFile(join(dir, name + STAGED), content, 0o600)
  }
  await replaceFile(join(dir, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, 0o600)
  await finishRenewal(dir, true)
}

/**
 * Moves staged files of a renewal into place, or removes them when the manifest does not name them. Call it under the
 * lock.
 * @throws MeshError MESH_DISK_WRITE
 */
export async function finishRenewal(dir: string, isInUse: boolean): Promise<void> {
  try {
    for (const name of RENEWED) {
      const staged = join(dir, name + STAGED)
      if (!isInUse) await rm(staged, { force: true })
      else
        await rename(staged, join(dir, name)).catch((error: unknown) => {
          // a renewal with the same key stages no key, and a killed one may have moved it
          if (!hasErrorCode(error, 'ENOENT')) throw error
        })
    }
    await syncDirectory(dir)
  } catch (error) {
    throw fileFault('MESH_DISK_WRITE', dir, error)
  }
}

export interface FormerFile {
  /** Below the directory of the CA. */
  readonly name: string
  readonly pem: string
  /** Its encrypted key, below the directory of the CA. */
  readonly keyFile: string
}

/**
 * Keeps an intermediate whose key is being replaced: its revocation lists must still be signed. @throws MeshError
 * MESH_DISK_WRITE
 */
export async function keepFormer(
  dir: string,
  keyId: string,
  files: { readonly certificate: string; readonly key: string },
): Promise<void> {
  const folder = join(dir, FORMER)
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw fileFault('MESH_DISK_WRITE', folder, error)
  })
  // the certificate last: a certificate without a key is never used
  await replaceFile(join(folder, `${keyId}.key`), files.key, 0o600)
  await replaceFile(join(folder, `${keyId}.crt`), files.certificate, 0o600)
}

/** @throws MeshError MESH_PKI_INVALID */
export async function readFormer(dir: string): Promise<readonly FormerFile[]> {
  const names = await readdir(join(dir, FORMER)).catch((error: unknown): string[] => {
    if (hasErrorCode(error, 'ENOENT')) return []
    throw fileFault('MESH_PKI_INVALID', join(dir, FORMER), error)
  })
  const certificates = names.filter((name) => /^[0-9a-f]+\.crt$/.test(name)).sort()
  return Promise.all(
    certificates.map(async (file) => {
      const name = join(FORMER, file)
      const pem = await readFile(join(dir, name), 'utf8').catch((error: unknown) => {
        throw fileFault('MESH_PKI_INVALID', join(dir, name), error)
      })
      return { name, pem, keyFile: name.replace(/crt$/, 'key') }
    }),
  )
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
  const value = parseJson(withoutByteOrderMark(text))
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
    // without JSON there is no manifest: the caller reports it
    return null
  }
}
