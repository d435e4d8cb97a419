/**
 * Appends lines to a file or to stdout without ever blocking or throwing. Lines gather in a bounded buffer and are
 * written in one write at a time. After a failed write its content is kept and retried; when the buffer is full, lines
 * are refused. A line is never torn: after a partial write the rest follows first. Where other processes append to the
 * same file, one of their lines may come in between: there the next writer ends the partial line, and the whole line is
 * repeated. Items become text in batches, just before the write: between the calls of a busy gateway, formatting each
 * takes several times longer than in a row (docs/decisions/audit-lines-in-batches.md).
 *
 * Our own rather than sonic-boom (pino's own), which closes the old file while a write may still be running and retries
 * a failed write only at the next line: a rotation must not lose a line, and writing must resume by itself after a full
 * disk.
 */
import { close, mkdirSync, open, openSync, write, writeSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { MeshError } from '@clawmesh/proto'
import { type Replaced, whyReplaced } from './replaced-file.ts'
import { appendFlags, endsWithinLine, isFile, wholeLines } from './torn-line.ts'

export interface LineWriterOptions<T> {
  /** A path, whose directory is created if needed, or 1 for stdout. */
  readonly target: string | 1
  /** The line of an item, with its line feed. The item must not change after `write`. */
  readonly format: (item: T) => string
  /** Other processes append to the same file, each with such a writer. Default false. */
  readonly shared?: boolean
  /** Buffered text over which lines are refused. Default 16 MiB. */
  readonly maxBufferBytes?: number
  /** How long lines may gather before the write, in milliseconds. Default 20. */
  readonly gatherMs?: number
  /** Pause after a failed write, in milliseconds. Default 1000. */
  readonly retryMs?: number
  /** Called for each refused line. */
  readonly onDropped: () => void
  /** The minimum interval of checks that the path still names the open file, in milliseconds. Default 1000. */
  readonly checkMs?: number
  /** Called when the path named another file, or none, and has been opened again. */
  readonly onReplaced?: (how: Replaced) => void
  /** Called with the error when writing begins to fail, and with null when it works again. */
  readonly onHealth: (error: Error | null) => void
}

export interface LineWriter<T> {
  write(item: T): void
  healthy(): boolean
  /** Opens the path again, for logrotate. Earlier lines go to the old file. */
  reopen(): Promise<void>
  /** Resolves when all is written; gives up when the disk still fails after `retryMs`. */
  close(): Promise<void>
  /** Writes synchronously, at the end of a crashing process. */
  flushSync(): void
}

const GATHER_BYTES = 64 * 1024
/** Maximum items that are not text yet: the memory limit counts text. */
const MAX_FRESH = 128
const LINE_FEED = Buffer.from('\n')
const writeFd = promisify(write)
const openFd = promisify(open)
const closeFd = promisify(close)

/** @throws MeshError MESH_DISK_WRITE when the file cannot be opened. */
export function createLineWriter<T>(options: LineWriterOptions<T>): LineWriter<T> {
  return new Writer(options)
}

class Writer<T> implements LineWriter<T> {
  readonly #options: LineWriterOptions<T>
  readonly #target: string | 1
  readonly #format: (item: T) => string
  readonly #shared: boolean
  readonly #maxBufferBytes: number
  readonly #gatherMs: number
  readonly #retryMs: number
  readonly #checkMs: number
  #fd: number
  #fresh: T[] = []
  #gathered: string[] = []
  #gatheredBytes = 0
  /** The content of the current write; its rest after a partial write. */
  #inFlight: Buffer | null = null
  #failure: Error | null = null
  #timer: NodeJS.Timeout | null = null
  #running: Promise<void> | null = null
  #closed = false
  #checkedMs = performance.now()

  constructor(options: LineWriterOptions<T>) {
    this.#options = options
    this.#target = options.target
    this.#format = options.format
    this.#shared = options.shared ?? false
    this.#maxBufferBytes = options.maxBufferBytes ?? 16 * 1024 * 1024
    this.#gatherMs = options.gatherMs ?? 20
    this.#retryMs = options.retryMs ?? 1000
    this.#checkMs = options.checkMs ?? 1000
    this.#fd = this.#target === 1 ? 1 : openFile(this.#target, this.#shared)
  }

  write(item: T): void {
    if (this.#closed) {
      this.#options.onDropped()
      return
    }
    this.#fresh.push(item)
    // while writing is impossible, items become text, which the memory limit counts
    const waiting = this.#running !== null || this.#failure !== null
    if (waiting || this.#fresh.length >= MAX_FRESH) this.#formatFresh()
    if (waiting) return
    if (this.#gatheredBytes >= GATHER_BYTES) void this.#flush()
    else this.#schedule(this.#gatherMs)
  }

  healthy(): boolean {
    return this.#failure === null
  }

  async reopen(): Promise<void> {
    const target = this.#target
    if (target === 1 || this.#closed) return
    await this.#flush()
    const next = await this.#openAnew(target).catch((error: Error) => {
      this.#setFailure(error)
      return null
    })
    if (next === null) return this.#schedule(this.#retryMs)
    while (this.#running !== null) await this.#running
    await this.#replaceFd(next)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    const deadline = performance.now() + this.#retryMs
    while (!this.#isDone()) {
      await this.#flush()
      if (this.#isDone() || performance.now() > deadline) break
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (this.#target !== 1) await closeFd(this.#fd)
  }

  flushSync(): void {
    // a running write may be repeated; better than a lost line
    const rest = [this.#inFlight, this.#takeGathered()].filter((part) => part !== null)
    this.#inFlight = null
    try {
      for (const part of rest) writeSync(this.#fd, part)
    } catch {
      // the process is crashing and the disk fails: nothing is left to do
    }
  }

  #isDone(): boolean {
    return this.#fresh.length === 0 && this.#gathered.length === 0 && this.#inFlight === null
  }

  #setFailure(error: Error | null): void {
    if ((this.#failure === null) === (error === null)) return
    this.#failure = error
    this.#options.onHealth(error)
  }

  #formatFresh(): void {
    const items = this.#fresh
    this.#fresh = []
    for (const item of items) {
      const line = this.#format(item)
      if (this.#gatheredBytes + line.length > this.#maxBufferBytes) {
        this.#options.onDropped()
        continue
      }
      this.#gathered.push(line)
      this.#gatheredBytes += line.length
    }
  }

  #takeGathered(): Buffer | null {
    this.#formatFresh()
    if (this.#gathered.length === 0) return null
    const buffer = Buffer.from(this.#gathered.join(''))
    this.#gathered = []
    this.#gatheredBytes = 0
    return buffer
  }

  async #openAnew(path: string): Promise<number> {
    await mkdir(dirname(path), { recursive: true })
    return await openFd(path, appendFlags(path, this.#shared), 0o600)
  }

  async #replaceFd(next: number): Promise<void> {
    const old = this.#fd
    this.#fd = next
    await closeFd(old)
  }

  /** Only between two lines: the rest of a line belongs to its file. */
  async #followPath(): Promise<void> {
    const target = this.#target
    if (target === 1 || this.#inFlight !== null) return
    if (performance.now() - this.#checkedMs < this.#checkMs) return
    const how = await whyReplaced(this.#fd, target)
    if (how !== null) {
      await this.#replaceFd(await this.#openAnew(target))
      this.#options.onReplaced?.(how)
    }
    this.#checkedMs = performance.now()
  }

  async #drain(): Promise<void> {
    try {
      await this.#followPath()
    } catch (error) {
      this.#retry(error)
      return
    }
    this.#inFlight ??= this.#takeGathered()
    while (this.#inFlight !== null) {
      try {
        this.#inFlight = await this.#writeOnce(this.#inFlight)
        this.#setFailure(null)
      } catch (error) {
        if (isBusy(error)) this.#schedule(10)
        else this.#retry(error)
        return
      }
    }
  }

  /** Returns what is to be written next: the rest, or what was gathered meanwhile. */
  async #writeOnce(inFlight: Buffer): Promise<Buffer | null> {
    const torn = this.#shared && (await endsWithinLine(this.#fd))
    const next = torn ? Buffer.concat([LINE_FEED, inFlight]) : inFlight
    const { bytesWritten } = await writeFd(this.#fd, next)
    if (bytesWritten === next.length) return this.#takeGathered()
    const repeat = this.#shared && (await isFile(this.#fd))
    return next.subarray(repeat ? wholeLines(next, bytesWritten) : bytesWritten)
  }

  #retry(error: unknown): void {
    this.#setFailure(error instanceof Error ? error : new Error(String(error)))
    this.#schedule(this.#retryMs)
  }

  /** One at a time: a second call joins the first. */
  #flush(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#running ??= this.#drain().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  #schedule(ms: number): void {
    if (this.#timer !== null || this.#closed) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      void this.#flush()
    }, ms)
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

/** The pipe is full at the moment. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN'
}
