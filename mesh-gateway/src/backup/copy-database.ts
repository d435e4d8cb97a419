/**
 * Copies an SQLite database as of one moment (VACUUM INTO), while another process may write to it. The copy has no name
 * any more when it is returned: it is as readable as the original, and vanishes with the process.
 */
import { type FileHandle, open, rm } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { MeshError, uuidV7 } from '@clawmesh/proto'

const MAGIC = Buffer.from('SQLite format 3\0')
const LOCK_WAIT_MS = 5_000

/** False for a file that cannot be read: its reader says why. */
export async function isDatabase(path: string): Promise<boolean> {
  const file = await open(path, 'r').catch(() => null)
  if (file === null) return false
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAGIC.length), 0, MAGIC.length, 0)
    return bytesRead === MAGIC.length && buffer.equals(MAGIC)
  } finally {
    await file.close()
  }
}

/** @throws MeshError MESH_BACKUP_INVALID when another process holds it */
export async function copyDatabase(path: string): Promise<FileHandle> {
  const copy = `${path}.${uuidV7()}.backup`
  // made by us, so that it is readable by its owner only
  await (await open(copy, 'wx', 0o600)).close()
  try {
    const database = new DatabaseSync(path, { timeout: LOCK_WAIT_MS, readOnly: true })
    try {
      database.prepare('VACUUM INTO ?').run(copy)
    } finally {
      database.close()
    }
    return await open(copy, 'r')
  } catch (cause) {
    throw new MeshError('MESH_BACKUP_INVALID', `cannot copy the database ${path}`, {
      cause,
      hint: 'the task store of an agent can be copied while the agent is stopped: it holds the lock',
    })
  } finally {
    await rm(copy, { force: true })
  }
}
