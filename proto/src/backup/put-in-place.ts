/**
 * Puts a directory that was written beside its place into it, by one rename. Where that cannot be (the place is a mount
 * point, or its parent is not writable), files are written inside of it and moved up one by one, the one that makes
 * them complete last.
 */

import { open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { errorCode } from '../error-code.ts'
import { MeshError } from '../mesh-error.ts'
import { diskFault } from './faults.ts'

export interface Target {
  /** Absolute path. */
  readonly dir: string
  readonly isEmpty: boolean
  /** The directory in which files are written first. */
  readonly stageIn: string
  readonly stagePrefix: string
}

/** @throws MeshError MESH_BACKUP_REFUSED when it is no directory, MESH_DISK_WRITE */
export async function findTarget(dir: string): Promise<Target> {
  const parent = dirname(dir)
  const beside = { stageIn: parent, stagePrefix: `${basename(dir)}.restoring-` }
  const found = await stat(dir).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return null
    throw diskFault(dir, error)
  })
  if (found === null) return { dir, isEmpty: true, ...beside }
  if (!found.isDirectory())
    throw new MeshError('MESH_BACKUP_REFUSED', `${dir} is not a directory`, {
      hint: 'name another directory',
    })
  const names = await readdir(dir)
  // made by mkfs, at the root of a volume
  const isEmpty = names.every((name) => name === 'lost+found' || name.startsWith('.restoring-'))
  const isMount = (await stat(parent)).dev !== found.dev || parent === dir
  const inside = isMount || !(await isWritable(parent))
  if (inside && !isEmpty)
    throw new MeshError(
      'MESH_BACKUP_REFUSED',
      `${dir} is not empty, and cannot be replaced in one step`,
      { hint: 'restore into another directory, or empty this one first' },
    )
  return { dir, isEmpty, ...(inside ? { stageIn: dir, stagePrefix: '.restoring-' } : beside) }
}

/** What a killed restore left behind. */
export async function removeRemnants({ stageIn, stagePrefix }: Target): Promise<void> {
  const names = await readdir(stageIn).catch((): string[] => [])
  for (const name of names) {
    const pid = name.startsWith(stagePrefix)
      ? /^(\d+)-[0-9a-f]{12}$/.exec(name.slice(stagePrefix.length))?.[1]
      : undefined
    if (pid !== undefined && !isAlive(Number(pid)))
      await rm(join(stageIn, name), { recursive: true, force: true })
  }
}

/** @returns where the former content is now; null when there was none. @throws the error of the system */
export async function putInPlace(
  staged: string,
  target: Target,
  lastName: string,
): Promise<string | null> {
  const { dir, isEmpty, stageIn } = target
  if (stageIn === dir) {
    await moveUp(staged, dir, lastName)
    return null
  }
  const aside = `${dir}.replaced-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`
  if (!isEmpty) await rename(dir, aside)
  try {
    // over an empty directory too, in one step
    await rename(staged, dir)
  } catch (error) {
    if (!isEmpty) await rename(aside, dir)
    throw error
  }
  await syncDirectory(stageIn)
  return isEmpty ? null : aside
}

/** Directories, from the deepest up: files are synced when they are written. */
export async function syncTree(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { withFileTypes: true }))
    if (entry.isDirectory()) await syncTree(join(dir, entry.name))
  await syncDirectory(dir)
}

async function moveUp(staged: string, dir: string, lastName: string): Promise<void> {
  const names = (await readdir(staged)).filter((name) => name !== lastName)
  const moved: string[] = []
  try {
    for (const name of [...names, lastName]) {
      await rename(join(staged, name), join(dir, name))
      moved.push(name)
    }
  } catch (error) {
    for (const name of moved) await rename(join(dir, name), join(staged, name))
    throw error
  }
  await rmdir(staged)
  await syncDirectory(dir)
}

async function isWritable(dir: string): Promise<boolean> {
  const probe = join(dir, `.${process.pid}-${Date.now()}.probe`)
  return open(probe, 'wx', 0o600).then(
    async (file) => {
      await file.close()
      await rm(probe)
      return true
    },
    () => false,
  )
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errorCode(error) !== 'ESRCH'
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  await directory.sync().finally(() => directory.close())
}
