/**
 * Restores an archive into one directory, all or nothing. The files are written beside the directory, the archive is
 * read to its end, its hashes are checked, and the caller proves that the result is usable. Only then one rename puts
 * it in place. Files get mode 0600, directories 0700.
 */

import { randomBytes } from 'node:crypto'
import { mkdir, open, realpath, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { errorCode } from '../error-code.ts'
import { MeshError } from '../mesh-error.ts'
import type { Secret } from '../secret.ts'
import { type BackupFacts, type BackupKind, readArchive } from './archive.ts'
import { diskFault, invalidBackup, otherKind } from './faults.ts'
import { findTarget, putInPlace, removeRemnants, syncTree } from './put-in-place.ts'

export interface RestoreOptions {
  readonly input: AsyncIterable<Uint8Array>
  readonly passphrase: Secret
  readonly kind: BackupKind
  /** Version of this program. */
  readonly version: string
  /** Created, or empty; with `force` it may hold something, which is moved aside. */
  readonly dir: string
  readonly force: boolean
  /** True for the names that an archive of this kind holds. */
  accepts(name: string): boolean
  /** Makes the result complete: where files are moved one by one, it is moved last. */
  readonly lastName: string
  /**
   * Proves the files in `staged`, completes them, and compares them with those that are replaced.
   * @param before the directory that is replaced; null when there is none
   * @returns what speaks against it and needs `force`, each to be read after "it"
   * @throws MeshError when they are not usable
   */
  prove(staged: string, before: string | null, facts: BackupFacts): Promise<readonly string[]>
}

export interface Restored {
  readonly facts: BackupFacts
  /** Absolute path. */
  readonly dir: string
  readonly files: number
  readonly bytes: number
  /** Where the former content is now; null when there was none. */
  readonly replaced: string | null
}

/**
 * @throws MeshError MESH_BACKUP_INVALID, MESH_BACKUP_PASSPHRASE, MESH_BACKUP_REFUSED, MESH_DISK_WRITE, and what `prove`
 *   throws; the directory is then as it was
 */
export async function restoreTree(options: RestoreOptions): Promise<Restored> {
  const target = await findTarget(await resolved(options.dir))
  await removeRemnants(target)
  const staged = join(
    target.stageIn,
    `${target.stagePrefix}${process.pid}-${randomBytes(6).toString('hex')}`,
  )
  try {
    await mkdir(staged, { mode: 0o700 })
    const { facts, files } = await readInto(staged, options)
    const before = target.isEmpty ? null : target.dir
    const reasons = [
      ...(before === null ? [] : [`would replace what is in ${target.dir}`]),
      ...versionReasons(facts, options),
      ...(await options.prove(staged, before, facts)),
    ]
    if (reasons.length > 0 && !options.force) throw refused(reasons)
    await syncTree(staged)
    const replaced = await putInPlace(staged, target, options.lastName)
    const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    return { facts, dir: target.dir, files: files.length, bytes, replaced }
  } catch (error) {
    await rm(staged, { recursive: true, force: true }).catch(() => {
      // the first error names the cause; the next restore removes the rest
    })
    throw diskFault(target.dir, error)
  }
}

/** A symbolic link to a directory is followed: the directory is restored, not the link replaced. */
async function resolved(dir: string): Promise<string> {
  return realpath(dir).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return resolve(dir)
    throw diskFault(dir, error)
  })
}

async function readInto(staged: string, options: RestoreOptions) {
  const made = new Set<string>([staged])
  return readArchive({
    input: options.input,
    passphrase: options.passphrase,
    onFacts({ kind }) {
      if (kind !== options.kind) throw otherKind(kind)
    },
    async onFile({ name }, content) {
      if (!options.accepts(name))
        throw invalidBackup(`it holds ${name}, which is no part of a backup of this kind`)
      const path = join(staged, name)
      const folder = dirname(path)
      if (!made.has(folder)) {
        await mkdir(folder, { recursive: true, mode: 0o700 })
        made.add(folder)
      }
      // never follows or overwrites what is there
      const file = await open(path, 'wx', 0o600)
      try {
        await file.chmod(0o600)
        for await (const piece of content) await file.appendFile(piece)
        await file.sync()
      } finally {
        await file.close()
      }
    },
  })
}

/** A newer program may have stored something that this one does not know. */
function versionReasons({ version }: BackupFacts, options: RestoreOptions): readonly string[] {
  return isNewer(version, options.version)
    ? [`was made by version ${version}, and this is ${options.version}`]
    : []
}

function isNewer(version: string, than: string): boolean {
  const parts = (text: string) => text.split(/[.+-]/).slice(0, 3).map(Number)
  const [ours, theirs] = [parts(than), parts(version)]
  for (const index of [0, 1, 2]) {
    const [own = 0, other = 0] = [ours[index], theirs[index]]
    if (own !== other) return !(other < own)
  }
  return false
}

function refused(reasons: readonly string[]): MeshError {
  const text =
    reasons.length === 1 ? (reasons[0] ?? '') : reasons.map((one) => `\n  ${one}`).join('')
  return new MeshError('MESH_BACKUP_REFUSED', `the restore ${text}`)
}
