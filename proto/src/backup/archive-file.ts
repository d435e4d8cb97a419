/** Archives as files or pipes: `-` is standard input or output. */
import { randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { MeshError } from '../mesh-error.ts'
import { codeOf, diskFault } from './faults.ts'

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
    // not process.stdout: a reader that goes away has half an archive, which is no success
    const stdout = createWriteStream('', { fd: 1, autoClose: false })
    await pipeline(Readable.from(counted(), { objectMode: false }), stdout).catch(
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

/** @throws MeshError MESH_BACKUP_INVALID when it cannot be read, while it is read */
export async function* openArchive(path: string): AsyncGenerator<Uint8Array> {
  const stream =
    path === '-' ? createReadStream('', { fd: 0, autoClose: false }) : createReadStream(path)
  try {
    for await (const piece of stream) yield Buffer.from(piece)
  } catch (error) {
    const code = codeOf(error)
    if (error instanceof MeshError || code === '') throw error
    throw new MeshError('MESH_BACKUP_INVALID', `cannot read ${path} (${code})`, {
      cause: error,
      hint: 'check the path',
    })
  }
}
