/**
 * Appends lines to a file or to stdout without ever blocking or throwing. Lines gather in a bounded buffer and go out
 * in one write at a time; when a write fails what it held is kept and tried again, when the buffer is full lines are
 * refused. A line is never torn: after a partial write the rest follows first. Where other processes append to the same
 * file one of their lines may come in between: there what was cut off is ended by whoever writes next, and repeated whole.
 * Items become text a batch at a time, just before it is written: between the calls of a busy gateway each takes several
 * times longer than in a row (docs/decisions/audit-lines-in-batches.md).
 *
 * Ours rather than sonic-boom (pino's own), which closes the old file while a write may still be under way and retries a
 * failed write only when the next line comes: rotation must not lose a line, and a full disk must pass by itself.
 */
import { close, mkdirSync, open, openSync, write, writeSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { MeshError } from '@clawmesh/proto'
import { type Replaced, whyReplaced } from './replaced-file.ts'
import { appendFlags, endsWithinLine, isFile, wholeLines } from './torn-line.ts'

export interface LineWriterOptions<T> {
  /** A path, made with its directory if need be, or 1 for stdout. */
  readonly target: string | 1
  /** The line of an item, with its line feed. The item must not change after it was written. */
  readonly format: (item: T) => string
  /** Other processes append to the same file, each by a writer like this one. Default false. */
  readonly shared?: boolean
  /** Buffered text above which lines are refused. Default 16 MiB. */
  readonly maxBufferBytes?: number
  /** How long lines may gather before they are written, in milliseconds. Default 20. */
  readonly gatherMs?: number
  /** Pause after a failed write, in milliseconds. Default 1000. */
  readonly retryMs?: number
  /** Called for each line refused. */
  readonly onDropped: () => void
  /** How often it is looked at whether the path still names the file, at most, in milliseconds. Default 1000. */
  readonly checkMs?: number
  /** Called when the path was found to name another file, or none, and has been opened anew. */
  readonly onReplaced?: (how: Replaced) => void
  /** Called when writing begins to fail, and with null when it works again. */
  readonly onHealth: (error: Error | null) => void
}

export interface LineWriter<T> {
  write(item: T): void
  healthy(): boolean
  /** Opens the path anew, for logrotate. Lines written so far go to the old file. */
  reopen(): Promise<void>
  /** Ends when all is written; gives up when the disk still refuses after `retryMs`. */
  close(): Promise<void>
  /** For the last moment of a crashing process. */
  flushSync(): void
}

const GATHER_BYTES = 64 * 1024
/** Items that wait to become text, at most: memory is bounded by text. */
const MAX_FRESH = 128
const LINE_FEED = Buffer.from('\n')
const writeFd = promisify(write)
const openFd = promisify(open)
const closeFd = promisify(close)

/** @throws MeshError MESH_DISK_WRITE when the file cannot be opened. */
export function createLineWriter<T>(options: LineWriterOptions<T>): LineWriter<T> {
  const {
    target,
    format,
    shared = false,
    maxBufferBytes = 16 * 1024 * 1024,
    gatherMs = 20,
    retryMs = 1000,
    checkMs = 1000,
  } = options
  let fd = target === 1 ? 1 : openFile(target, shared)
  let fresh: T[] = []
  let gathered: string[] = []
  let gatheredBytes = 0
  /** What is being written; its rest after a partial write. */
  let inFlight: Buffer | null = null
  let failure: Error | null = null
  let timer: NodeJS.Timeout | null = null
  let running: Promise<void> | null = null
  let closed = false
  let checkedMs = performance.now()

  const setFailure = (error: Error | null) => {
    if ((failure === null) === (error === null)) return
    failure = error
    options.onHealth(error)
  }

  const formatFresh = () => {
    const items = fresh
    fresh = []
    for (const item of items) {
      const line = format(item)
      if (gatheredBytes + line.length > maxBufferBytes) {
        options.onDropped()
        continue
      }
      gathered.push(line)
      gatheredBytes += line.length
    }
  }

  const takeGathered = () => {
    formatFresh()
    if (gathered.length === 0) return null
    const buffer = Buffer.from(gathered.join(''))
    gathered = []
    gatheredBytes = 0
    return buffer
  }

  const openAnew = async (path: string): Promise<number> => {
    await mkdir(dirname(path), { recursive: true })
    return await openFd(path, appendFlags(path, shared), 0o600)
  }

  /** Between two lines: a line that has begun goes on in its file. */
  const followPath = async (): Promise<void> => {
    if (target === 1 || inFlight !== null || performance.now() - checkedMs < checkMs) return
    const how = await whyReplaced(fd, target)
    if (how !== null) {
      const next = await openAnew(target)
      const old = fd
      fd = next
      await closeFd(old)
      options.onReplaced?.(how)
    }
    checkedMs = performance.now()
  }

  const drain = async (): Promise<void> => {
    try {
      await followPath()
    } catch (error) {
      setFailure(error instanceof Error ? error : new Error(String(error)))
      schedule(retryMs)
      return
    }
    inFlight ??= takeGathered()
    while (inFlight !== null) {
      try {
        const torn = shared && (await endsWithinLine(fd))
        const next: Buffer = torn ? Buffer.concat([LINE_FEED, inFlight]) : inFlight
        const { bytesWritten }: { bytesWritten: number } = await writeFd(fd, next)
        if (bytesWritten === next.length) inFlight = takeGathered()
        else {
          const repeat = shared && (await isFile(fd))
          inFlight = next.subarray(repeat ? wholeLines(next, bytesWritten) : bytesWritten)
        }
        setFailure(null)
      } catch (error) {
        if (isBusy(error)) {
          schedule(10)
          return
        }
        setFailure(error instanceof Error ? error : new Error(String(error)))
        schedule(retryMs)
        return
      }
    }
  }

  /** One at a time: a second one joins the first. */
  const flush = (): Promise<void> => {
    if (timer !== null) clearTimeout(timer)
    timer = null
    running ??= drain().finally(() => {
      running = null
    })
    return running
  }

  function schedule(ms: number): void {
    if (timer !== null || closed) return
    timer = setTimeout(() => {
      timer = null
      void flush()
    }, ms)
  }

  return {
    write(item) {
      if (closed) {
        options.onDropped()
        return
      }
      fresh.push(item)
      // while nothing can be written text piles up, and is what the bound counts
      const waiting = running !== null || failure !== null
      if (waiting || fresh.length >= MAX_FRESH) formatFresh()
      if (waiting) return
      if (gatheredBytes >= GATHER_BYTES) void flush()
      else schedule(gatherMs)
    },
    healthy: () => failure === null,
    async reopen() {
      if (target === 1 || closed) return
      await flush()
      const next = await openAnew(target).catch((error: Error) => {
        setFailure(error)
        return null
      })
      if (next === null) return schedule(retryMs)
      while (running !== null) await running
      const old = fd
      fd = next
      await closeFd(old)
    },
    async close() {
      if (closed) return
      const deadline = performance.now() + retryMs
      const isDone = () => fresh.length === 0 && gathered.length === 0 && inFlight === null
      while (!isDone()) {
        await flush()
        if (isDone() || performance.now() > deadline) break
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      closed = true
      if (timer !== null) clearTimeout(timer)
      if (target !== 1) await closeFd(fd)
    },
    flushSync() {
      // a write under way may land twice; better than a lost line
      const rest = [inFlight, takeGathered()].filter((part) => part !== null)
      inFlight = null
      try {
        for (const part of rest) writeSync(fd, part)
      } catch {
        // the process is going down and the disk refuses: nobody is left to tell
      }
    },
  }
}

function openFile(path: string, shared: boolean): number {
  try {
    mkdirSync(dirname(path), { recursive: true })
    return openSync(path, appendFlags(path, shared), 0o600)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw new MeshError('MESH_DISK_WRITE', `cannot write the audit log ${path} (${code})`, {
      cause: error,
      hint: 'change audit.file (MESH_AUDIT_FILE, --audit-file), or free space and permissions there; "stdout" writes to the terminal',
    })
  }
}

/** A pipe that is full at the moment. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN'
}
