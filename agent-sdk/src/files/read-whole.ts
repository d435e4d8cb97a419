/**
 * The one place where a file is read: a regular file, of a bounded size, within a bounded time. A named pipe or a device
 * would be waited for without end, a file of any size would fill the memory.
 */
import { constants, type Stats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { createDisk, type Disk } from './disk.ts'
import { FileFault } from './file-fault.ts'

export interface ReadWholeOptions {
  /** A larger file is refused before it is read. */
  readonly maxBytes: number
  /** Whoever reads again and again gives its own, so that a mount that hangs is not asked anew. Default: one for this reading. */
  readonly disk?: Disk
  /** Looks at the file that is read, and at no other that has its name meanwhile. What it throws is thrown on. */
  readonly judge?: (stat: Stats) => void
}

/** What a file without a size of its own (as in /proc) is read with at first. */
const FIRST_BYTES = 4096

/**
 * All bytes of a regular file. Symbolic links are followed.
 * @throws FileFault NOT_A_FILE, TOO_LARGE or NO_ANSWER; or the error of the system, e.g. ENOENT
 */
export function readWhole(path: string, options: ReadWholeOptions): Promise<Buffer> {
  const { maxBytes, disk = createDisk(), judge = () => {} } = options
  return disk.run(path, async () => {
    // without O_NONBLOCK a named pipe without a writer would be waited for
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      return await readRegular(file, maxBytes, judge)
    } finally {
      await file.close()
    }
  })
}

async function readRegular(
  file: FileHandle,
  maxBytes: number,
  judge: (stat: Stats) => void,
): Promise<Buffer> {
  const stat = await file.stat()
  if (!stat.isFile()) throw new FileFault('NOT_A_FILE', 'not a regular file')
  judge(stat)
  if (stat.size > maxBytes) throw tooLarge(maxBytes)
  // one byte more than there should be: a file that grows meanwhile is seen to
  let buffer = Buffer.alloc(Math.min(maxBytes, Math.max(stat.size, FIRST_BYTES)) + 1)
  let length = 0
  for (;;) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, length)
    if (bytesRead === 0) return buffer.subarray(0, length)
    length += bytesRead
    if (length > maxBytes) throw tooLarge(maxBytes)
    if (length === buffer.length)
      buffer = Buffer.concat([buffer], Math.min(maxBytes + 1, buffer.length * 2))
  }
}

function tooLarge(maxBytes: number): FileFault {
  return new FileFault('TOO_LARGE', `larger than ${maxBytes} bytes`)
}
