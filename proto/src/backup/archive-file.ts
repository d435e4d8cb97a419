/** Archives as files or pipes: `-` is standard input or output. */

import { randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream, fstatSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { Socket } from 'node:net'
import { dirname, resolve } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { errorCode } from '../error-code.ts'
import { MeshError } from '../mesh-error.ts'
import { diskFault } from './faults.ts'

/**
 * Writes an archive. A file is complete when it gets its name; one that was there is kept until then.
 * @returns its size in bytes. @throws MeshError MESH_DISK_WRITE, and what the archive throws
 */
export async function saveArchive(archive: AsyncIterable<Buffer>, out: string): Promise<number> {
  let bytes = 0
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const piece of archive) {
      bytes += piece.length
      yield piece
    }
  }
  if (out === '-') {
    await pipeline(Readable.from(counted(), { objectMode: false }), standardOutput()).catch(
      (error: unknown) => {
        throw diskFault('to standard output', error)
      },
    )
    return bytes
  }
  const path = resolve(out)
  const draft = `${path}.${randomBytes(8).toString('hex')}.draft`
  try {
    const file = await open(draft, 'wx', 0o600)
    try {
      for await (const piece of counted()) await file.appendFile(piece)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
    const directory = await open(dirname(path), 'r')
    await directory.sync().finally(() => directory.close())
    return bytes
  } catch (error) {
    await rm(draft, { force: true })
    throw diskFault(path, error)
  }
}

/**
 * Not process.stdout: a reader that goes away has half an archive, which is no success. A pipe may have been set to not
 * block by another process, so it is written as a socket: a file's write would fail with EAGAIN.
 */
function standardOutput(): Writable {
  const found = fstatSync(1)
  return found.isFIFO() || found.isSocket()
    ? new Socket({ fd: 1, readable: false, writable: true })
    : createWriteStream('', { fd: 1, autoClose: false })
}

/** @throws MeshError MESH_BACKUP_INVALID when it cannot be read, while it is read */
export async function* openArchive(path: string): AsyncGenerator<Uint8Array> {
  // process.stdin also reads a pipe that another process has set to not block
  const stream = path === '-' ? process.stdin : createReadStream(path)
  try {
    for await (const piece of stream) yield Buffer.from(piece)
  } catch (error) {
    const code = errorCode(error)
    if (error instanceof MeshError || code === '') throw error
    throw new MeshError('MESH_BACKUP_INVALID', `cannot read ${path} (${code})`, {
      cause: error,
      hint: 'check the path',
    })
  }
}
