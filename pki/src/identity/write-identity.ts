/**
 * Writes tls.crt, tls.key and ca.crt as one generation, in the way in which Kubernetes mounts a Secret: real files in a
 * directory `..<time>`, a symlink `..data` to it that rename(2) swaps, and `tls.crt -> ..data/tls.crt` beside it. A
 * crash at any point leaves the previous generation. Readers resolve `..data` once and read all three there.
 */
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { MeshError, type Secret } from '@clawmesh/proto'
import { fileFault, hasErrorCode } from '../disk/file-fault.ts'
import { syncDirectory, writeSynced } from '../disk/synced-file.ts'

export interface WritableIdentity {
  /** PEM: the leaf, then intermediates. */
  readonly certificateChain: string
  /** PKCS #8, PEM. */
  readonly privateKey: Secret<string>
  /** PEM. */
  readonly roots: string
}

export const IDENTITY_FILES = ['tls.crt', 'tls.key', 'ca.crt'] as const

const DATA = '..data'
const KEEP_YOUNG_MS = 60_000
const GENERATION = /^\.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\.\d{3}-/

/** Creates `dir` (mode 0700) when it does not exist. @throws MeshError MESH_DISK_WRITE. */
export async function writeIdentity(dir: string, identity: WritableIdentity): Promise<void> {
  const path = resolve(dir)
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    await adoptPlainFiles(path)
    const previous = await currentGeneration(path)
    await writeGeneration(path, {
      'tls.crt': identity.certificateChain,
      'tls.key': identity.privateKey.reveal(),
      'ca.crt': identity.roots,
    })
    for (const name of IDENTITY_FILES) await link(path, name, `${DATA}/${name}`)
    await syncDirectory(path)
    await removeOldGenerations(path, previous)
  } catch (error) {
    throw error instanceof MeshError ? error : fileFault('MESH_DISK_WRITE', path, error)
  }
}

type Files = Partial<Record<(typeof IDENTITY_FILES)[number], string>>

async function writeGeneration(dir: string, files: Files): Promise<void> {
  const generation = await mkdtemp(join(dir, `..${timeName(new Date())}-`))
  try {
    for (const name of IDENTITY_FILES) {
      const content = files[name]
      if (content === undefined) continue
      await writeSynced(join(generation, name), content, name === 'tls.key' ? 0o600 : 0o644)
    }
    // generations get the permissions of their directory; the key is 0600 all the same
    await chmod(generation, (await stat(dir)).mode & 0o777)
    await syncDirectory(generation)
    await link(dir, DATA, basename(generation))
  } catch (error) {
    await rm(generation, { recursive: true, force: true })
    throw error
  }
  await syncDirectory(dir)
}

/** Replaces any file or link by a symlink, with rename(2). */
async function link(dir: string, name: string, target: string): Promise<void> {
  const path = join(dir, name)
  if ((await linkTarget(path)) === target) return
  // named like a generation, so that leftovers of a crash are removed later
  const nest = await mkdtemp(join(dir, `..${timeName(new Date())}-link-`))
  try {
    const draft = join(nest, name)
    await symlink(target, draft)
    await rename(draft, path)
  } finally {
    await rm(nest, { recursive: true, force: true })
  }
}

/**
 * Plain files of other tools first become a generation: then links can replace them one by one, and no reader sees a
 * new certificate with an old key.
 */
async function adoptPlainFiles(dir: string): Promise<void> {
  const files: Files = {}
  let plain = false
  for (const name of IDENTITY_FILES) {
    const content = await readFile(join(dir, name), 'utf8').catch((error: unknown) => {
      if (hasErrorCode(error, 'ENOENT')) return null
      throw error
    })
    if (content === null) continue
    files[name] = content
    plain ||= (await linkTarget(join(dir, name))) === null
  }
  if (!plain) return
  await writeGeneration(dir, files)
  for (const name of IDENTITY_FILES)
    if (files[name] !== undefined) await link(dir, name, `${DATA}/${name}`)
}

/**
 * Keeps one old generation for current readers; names sort by time. Also keeps young ones: another writer may not have
 * linked them yet.
 */
async function removeOldGenerations(dir: string, previous: string | null): Promise<void> {
  if (previous === null) return
  const current = await currentGeneration(dir)
  const old = (await readdir(dir)).filter(
    (name) => GENERATION.test(name) && name < previous && name !== current,
  )
  for (const name of old) {
    const path = join(dir, name)
    // already removed: another writer cleans up too
    const madeMs = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => Date.now(),
    )
    if (Date.now() - madeMs > KEEP_YOUNG_MS) await rm(path, { recursive: true, force: true })
  }
}

async function currentGeneration(dir: string): Promise<string | null> {
  return linkTarget(join(dir, DATA))
}

async function linkTarget(path: string): Promise<string | null> {
  return readlink(path).catch((error: unknown) => {
    // EINVAL: a file, not a link
    if (hasErrorCode(error, 'ENOENT') || hasErrorCode(error, 'EINVAL')) return null
    throw error
  })
}

/** 2026_11_22_11_41_14.123 */
function timeName(date: Date): string {
  return date.toISOString().slice(0, -1).replaceAll(/[-:T]/g, '_')
}
