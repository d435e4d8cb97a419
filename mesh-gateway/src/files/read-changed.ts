/** Reads a file only when it has changed, so that it can be polled several times a second. */
import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { createDisk, type Disk, describeFileFault, readWhole } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'

export interface FileReading {
  /** Equal if and only if the content is. */
  readonly digest: string
  readonly bytes: Buffer
}

export interface ReaderOptions {
  readonly maxBytes: number
  /** The queue of disk operations. Default: one for this file. */
  readonly disk?: Disk
}

/** The time resolution of a file system, in milliseconds: two writes within it may look the same. */
const UNSURE_MS = 2_000

/** Returns the same object while the file has not changed. @throws MeshError MESH_REVOCATION_INVALID */
export function createReader(path: string, options: ReaderOptions): () => Promise<FileReading> {
  const { maxBytes, disk = createDisk() } = options
  let seen = ''
  let last: FileReading | null = null
  const read = async () => {
    const before = await disk.run(path, () => stat(path))
    const mark = `${before.dev} ${before.ino} ${before.size} ${before.mtimeMs} ${before.ctimeMs}`
    if (last !== null && mark === seen) return last
    const bytes = await readWhole(path, { maxBytes, disk })
    const digest = createHash('sha256').update(bytes).digest('base64')
    seen = Date.now() - before.mtimeMs > UNSURE_MS ? mark : ''
    if (last === null || last.digest !== digest) last = { digest, bytes }
    return last
  }
  return () =>
    read().catch((cause: unknown) => {
      seen = ''
      const why = describeFileFault(cause)
      throw new MeshError('MESH_REVOCATION_INVALID', `cannot read ${path} (${why})`, { cause })
    })
}
