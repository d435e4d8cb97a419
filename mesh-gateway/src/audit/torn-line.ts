/**
 * Where several processes append to one file, a full disk can leave the beginning of a line behind, and the next line may
 * be another process's. It must not be glued to what stands there, nor may what was cut off go on after it.
 */
import { constants, fstat, read, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

/** How long no write of another process stands still, in milliseconds. */
const SETTLE_MS = 10
const LINE_FEED = Buffer.from('\n')
const APPEND = constants.O_APPEND | constants.O_CREAT
const statFd = promisify(fstat)
const readFd = promisify(read)

export async function isFile(fd: number): Promise<boolean> {
  return (await statFd(fd)).isFile()
}

/** Bytes of the lines that are whole within the first `written` of them. */
export function wholeLines(lines: Buffer, written: number): number {
  return written === 0 ? 0 : lines.lastIndexOf(LINE_FEED, written - 1) + 1
}

/**
 * What stands there is the beginning of a line that a full disk has cut off, of this process or another.
 * @param settle resolves when a write of another process is over. Default after 10 milliseconds.
 */
export async function endsWithinLine(
  fd: number,
  settle: () => Promise<unknown> = () => delay(SETTLE_MS),
): Promise<boolean> {
  const size = await sizeWithinLine(fd)
  if (size === null) return false
  // while another process writes, the file grows piece by piece; what was cut off does not
  await settle()
  return (await sizeWithinLine(fd)) === size
}

/** The size of a file that does not end with a line feed; null of any other. */
async function sizeWithinLine(fd: number): Promise<number | null> {
  const file = await statFd(fd)
  if (!file.isFile() || file.size === 0) return null
  const { bytesRead, buffer } = await readFd(fd, Buffer.alloc(1), 0, 1, file.size - 1)
  return bytesRead === 1 && !LINE_FEED.equals(buffer) ? file.size : null
}

/** With others it is read too: how it ends, by `endsWithinLine`. A pipe, opened for both, would have no reader to wait for. */
export function appendFlags(path: string, shared: boolean): number {
  const there = shared ? statSync(path, { throwIfNoEntry: false }) : undefined
  const readable = shared && (there === undefined || there.isFile())
  return APPEND | (readable ? constants.O_RDWR : constants.O_WRONLY)
}
