/**
 * What a backup is made of, as of one moment. Files that are replaced by a rename, and journals that only grow, need no
 * copy: an open file of a known size stays what it was, so no lock is held while the archive is written.
 */

import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { errorCode } from '../error-code.ts'
import type { BackupSource } from './archive.ts'
import { diskFault, invalidBackup } from './faults.ts'

export interface BackupSnapshot {
  readonly sources: readonly BackupSource[]
  /** The moment that the archive stands for. */
  readonly made: Date
  /** Closes the files. */
  close(): Promise<void>
}

export interface SnapshotFile {
  /** Its name in the archive. */
  readonly name: string
  readonly path: string
  /** False: it is left out where it does not exist. */
  readonly required: boolean
  /** Opens a copy in place of the file. */
  readonly open?: () => Promise<FileHandle>
}

const PIECE_BYTES = 262_144

/** Call it under the locks of what changes the files. @throws MeshError MESH_BACKUP_INVALID, MESH_DISK_WRITE */
export async function openSnapshot(files: readonly SnapshotFile[]): Promise<BackupSnapshot> {
  const handles: FileHandle[] = []
  const close = async () => {
    await Promise.all(handles.map((handle) => handle.close()))
  }
  try {
    const sources: BackupSource[] = []
    for (const { name, path, required, open: openCopy } of files) {
      const handle = await (openCopy?.() ?? openRegular(path, required))
      if (handle === null) continue
      handles.push(handle)
      const { size } = await handle.stat()
      sources.push({ name, sizeBytes: size, read: () => readPart(handle, size) })
    }
    return { sources, made: new Date(), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function openRegular(path: string, required: boolean): Promise<FileHandle | null> {
  try {
    // without O_NONBLOCK a named pipe without a writer would be waited for
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    if ((await handle.stat()).isFile()) return handle
    await handle.close()
  } catch (error) {
    if (errorCode(error) === 'ENOENT' && !required) return null
    throw diskFault(path, error, 'read')
  }
  throw invalidBackup(`${path} is not a regular file`, 'name a file')
}

async function* readPart(handle: FileHandle, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < size; ) {
    const length = Math.min(PIECE_BYTES, size - at)
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, at)
    // the archive says that it has shrunk
    if (bytesRead === 0) return
    at += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}
