/**
 * The folder of one result in an agent's workspace: `mesh-results/<name>/`. Both parts must be real directories: a workspace may
 * come from a repository of somebody else, with a link in that place. Files are written beside their name and moved there.
 */
import { lstat, mkdir, realpath, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { diskError, writePieces } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { safeFileName } from './file-name.ts'

export const RESULTS_FOLDER = 'mesh-results'

export interface StoredFile {
  /** Relative to the workspace, with forward slashes. */
  readonly path: string
  readonly bytes: number
}

export interface ResultFolder {
  /** Relative to the workspace. */
  readonly path: string
  /**
   * @param name as another party wrote it
   * @throws MeshError MESH_DISK_WRITE, MESH_LIMIT_SIZE beyond what the folder may hold
   */
  store(name: string, content: Uint8Array | string | AsyncIterable<Uint8Array>): Promise<StoredFile>
}

/** What one result may leave there. */
const MAX_FILES = 500

/**
 * @param name one part of a path, of our own making. The folder is made with the first file
 * @param maxBytes of all files together
 */
export function createResultFolder(
  workspaceDir: string,
  name: string,
  maxBytes: number,
): ResultFolder {
  const path = `${RESULTS_FOLDER}/${name}`
  let opened: Promise<string> | null = null
  let count = 0
  let bytes = 0

  async function* counted(content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
    for await (const piece of content) {
      bytes += piece.length
      if (bytes > maxBytes)
        throw new MeshError('MESH_LIMIT_SIZE', `the files are larger than ${maxBytes} bytes`)
      yield piece
    }
  }

  return {
    path,
    async store(given, content) {
      count += 1
      if (count > MAX_FILES)
        throw new MeshError('MESH_LIMIT_SIZE', `there are more than ${MAX_FILES} files`)
      const file = safeFileName(count, given)
      opened ??= openFolder(workspaceDir, name)
      const folder = await opened
      const before = bytes
      const whole = typeof content === 'string' ? Buffer.from(content) : content
      await writePieces(
        join(folder, file),
        counted(whole instanceof Uint8Array ? [whole] : whole),
        { synced: false },
      )
      return { path: `${path}/${file}`, bytes: bytes - before }
    },
  }
}

async function openFolder(workspaceDir: string, name: string): Promise<string> {
  try {
    const results = join(await realpath(workspaceDir), RESULTS_FOLDER)
    if (await makeFolder(results))
      // what peers sent is nobody's source code
      await writeFile(join(results, '.gitignore'), '*\n', { flag: 'wx', mode: 0o600 })
    const folder = join(results, name)
    await makeFolder(folder)
    return folder
  } catch (error) {
    throw diskError(join(workspaceDir, RESULTS_FOLDER), error)
  }
}

/** True when it was not there. */
async function makeFolder(path: string): Promise<boolean> {
  const made = await mkdir(path, { mode: 0o700 }).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false
      throw error
    },
  )
  if (!(await lstat(path)).isDirectory())
    throw new MeshError('MESH_DISK_WRITE', `${path} is not a directory of this agent`, {
      hint: 'remove what stands there: a link is not followed',
    })
  return made
}
