/**
 * Detects a torn line. Where several processes append to one file, a full disk can leave a partial line, and the next
 * line may come from another process. That line must not be joined to the partial one, nor may the rest of the partial
 * one follow it.
 */
import { constants, fstat, read, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

/** A write of another process makes progress within this time, in milliseconds. */
const SETTLE_MS = 10
const LINE_FEED = Buffer.from('\n')
const APPEND = constants.O_APPEND | constants.O_CREAT
const statFd = promisify(fstat)
const readFd = promisify(read)

export async function isFile(fd: number): Promise<boolean> {
  return (await statFd(fd)).isFile()
}

/** The number of bytes in complete lines among the first `written` bytes. */
export function wholeLines(lines: Buffer, written: number): number {
  return written === 0 ? 0 : lines.lastIndexOf(LINE_FEED, written - 1) + 1
}

/**
 * True when the file ends with a line that a full disk has cut, of this process or another.
 * @param settle resolves when a write of another process is over. Default: after 10 milliseconds
 */
export async function endsWithinLine(
  fd: number,
  settle: () => Promise<unknown> = () => delay(SETTLE_MS),
): Promise<boolean> {
  const size = await sizeWithinLine(fd)
  if (size === null) return false
  // a running write of another process grows the file; a cut line does not grow
  await settle()
  return (await sizeWithinLine(fd)) === size
}

/** The size of a file that does not end with a line feed; null for any other. */
async function sizeWithinLine(fd: number): Promise<number | null> {
  const file = await statFd(fd)
  if (!file.isFile() || file.size === 0) return null
  const { bytesRead, buffer } = await readFd(fd, Buffer.alloc(1), 0, 1, file.size - 1)
  return bytesRead === 1 && !LINE_FEED.equals(buffer) ? file.size : null
}

/**
 * A shared file is also opened for reading, for `endsWithinLine`. A pipe is not: opened for both, it would not wait for
 * a reader.
 */
export function appendFlags(path: string, shared: boolean): number {
  const there = shared ? statSync(path, { throwIfNoEntry: false }) : undefined
  const readable = shared && (there === undefined || there.isFile())
  return APPEND | (readable ? constants.O_RDWR : constants.O_WRONLY)
}
