/** Reads a file only when it has changed, so that it can be looked at several times a second. */
import { createHash } from 'node:crypto'
import { open, stat } from 'node:fs/promises'
import { MeshError } from '@clawmesh/proto'

export interface FileReading {
  /** Equal when and only when the content is. */
  readonly digest: string
  /** Null: there is no such file. */
  readonly bytes: Buffer | null
}

const NOTHING: FileReading = Object.freeze({ digest: 'none', bytes: null })
/** Within this a file system may not tell two writes apart by their time, in milliseconds. */
const UNSURE_MS = 2_000

/** The same object as before while the file has not changed. @throws MeshError MESH_REVOCATION_INVALID */
export function createReader(path: string, maxBytes: number): () => Promise<FileReading> {
  let seen = ''
  let last: FileReading | null = null
  return async () => {
    const before = await look(path)
    if (before === null) {
      last = NOTHING
      seen = ''
      return last
    }
    const mark = `${before.dev} ${before.ino} ${before.size} ${before.mtimeMs} ${before.ctimeMs}`
    if (last !== null && mark === seen) return last
    const next = await readBytes(path, maxBytes)
    seen = Date.now() - before.mtimeMs > UNSURE_MS ? mark : ''
    if (last === null || last.digest !== next.digest) last = next
    return last
  }
}

/** @throws MeshError MESH_REVOCATION_INVALID when it cannot be read or is too large */
export async function readBytes(path: string, maxBytes: number): Promise<FileReading> {
  try {
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      if (size > maxBytes)
        throw new MeshError('MESH_REVOCATION_INVALID', `${path} is larger than ${maxBytes} bytes`)
      const bytes = await file.readFile()
      return { digest: createHash('sha256').update(bytes).digest('base64'), bytes }
    } finally {
      await file.close()
    }
  } catch (error) {
    if (isMissing(error)) return NOTHING
    throw unreadable(path, error)
  }
}

async function look(path: string) {
  try {
    return await stat(path)
  } catch (error) {
    if (isMissing(error)) return null
    throw unreadable(path, error)
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function unreadable(path: string, error: unknown): MeshError {
  if (error instanceof MeshError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  return new MeshError('MESH_REVOCATION_INVALID', `cannot read ${path} (${code})`, { cause: error })
}
