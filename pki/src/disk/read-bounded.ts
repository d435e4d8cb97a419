/** Reads small text files, and stops at a maximum, before a large or endless file (/dev/zero) fills the memory. */
import { open } from 'node:fs/promises'
import { type ErrorCode, MeshError } from '@clawmesh/proto'
import { fileFault } from './file-fault.ts'

/** @throws MeshError with `code` when the file cannot be read or is larger than `maxBytes`. */
export async function readBounded(
  path: string,
  maxBytes: number,
  code: ErrorCode,
): Promise<string> {
  try {
    const file = await open(path, 'r')
    try {
      const buffer = Buffer.alloc(maxBytes + 1)
      let length = 0
      for (;;) {
        const { bytesRead } = await file.read(buffer, length, buffer.length - length, null)
        length += bytesRead
        if (length > maxBytes)
          throw new MeshError(code, `${path}: it is larger than ${maxBytes} bytes`)
        if (bytesRead === 0) return buffer.toString('utf8', 0, length)
      }
    } finally {
      await file.close()
    }
  } catch (error) {
    throw error instanceof MeshError ? error : fileFault(code, path, error)
  }
}
