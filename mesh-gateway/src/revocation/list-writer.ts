/**
 * Changes the gateway's own revocation list: appends a line, and reports it when it is on the disk. Concurrent changes
 * are written together. A killed process may leave an incomplete line, which readers ignore and the next writer
 * removes. One process writes at a time, under a kernel lock; docs/decisions/revocations-are-a-journal.md
 */
import { constants } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { diskError } from '@clawmesh/agent-sdk/mesh'
import { MeshError, uuidV7 } from '@clawmesh/proto'
import { withLock } from '@clawmesh/proto/lock'
import { type Change, formatChange, type Position } from './journal-lines.ts'
import { brokenList } from './list-faults.ts'
import { fileOf, type ListReader, MAX_LIST_BYTES } from './list-reader.ts'
import { applyChange, type LoadedList, passChange } from './load-list.ts'
import type { RevokedIndex } from './revoked-index.ts'
import { writeWhole } from './write-whole.ts'

/** Computes a change from the current revocations; null: no change. @throws MeshError when the change is refused */
export type Edit = (index: RevokedIndex) => Change | null

export interface ListWriter {
  /**
   * True when something has changed, and is on the disk.
   * @throws MeshError MESH_REVOCATION_MISSING, MESH_REVOCATION_INVALID, MESH_DISK_WRITE, and any error of the edit
   */
  change(edit: Edit): Promise<boolean>
}

export interface ListWriterOptions {
  readonly path: string
  readonly reader: ListReader
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number
}

interface Waiting {
  readonly edit: Edit
  resolve(changed: boolean): void
  reject(error: unknown): void
}

/** The file is rewritten when more than this number of lines, and more than half of them, are obsolete. */
const DEAD_LINES = 1_000
/** Maximum changes in one write; the lock is released in between. */
const MAX_AT_ONCE = 256

export function createListWriter(options: ListWriterOptions): ListWriter {
  const { path, reader, now = Date.now } = options
  const waiting: Waiting[] = []
  let running = false

  async function run(): Promise<void> {
    running = true
    while (waiting.length > 0) {
      const batch = waiting.splice(0, MAX_AT_ONCE)
      await locked(batch).catch((error: unknown) => {
        for (const one of batch) one.reject(error)
      })
    }
    running = false
  }

  async function locked(batch: readonly Waiting[]): Promise<void> {
    // taking the lock blocks this thread for as long as the disk does, so the disk is tested first, with a timeout
    await reader.catchUpToAppend()
    await withLock(`${path}.lock`, () => write(batch))
  }

  async function write(batch: readonly Waiting[]): Promise<void> {
    const list = await reader.catchUpToAppend()
    list.index.sweep(now())
    const settled: (() => void)[] = []
    const lines: string[] = []
    let { position } = list
    try {
      for (const { edit, resolve, reject } of batch) {
        let change: Change | null
        try {
          change = edit(list.index)
        } catch (error) {
          settled.push(() => reject(error))
          continue
        }
        settled.push(() => resolve(change !== null))
        if (change === null) continue
        const { line, after } = formatChange(position, change)
        // the next edit of the batch sees it
        applyChange(list.index, change)
        lines.push(line)
        position = after
      }
      if (lines.length > 0) await put(list, lines, position)
    } catch (error) {
      // the file and the memory may differ now
      reader.forget()
      throw diskError(path, error)
    }
    for (const settle of settled) settle()
  }

  async function put(list: LoadedList, lines: readonly string[], after: Position): Promise<void> {
    const dead = list.lines - list.index.size
    const full = dead > Math.max(DEAD_LINES, list.index.size) && !reader.isOlder()
    if (after.list !== null && !full) {
      await append(path, list, lines.join(''))
      for (const line of lines) passChange(list, line.slice(0, -1), after)
      return
    }
    // the creation time of an old-format list is unknown, so it counts as older than any other
    const position = { ...after, list: after.list ?? uuidV7() }
    await writeWhole(path, position, list.index.entries())
    reader.forget()
  }

  return {
    change(edit) {
      return new Promise((resolve, reject) => {
        waiting.push({ edit, resolve, reject })
        if (!running) void run()
      })
    },
  }
}

async function append(path: string, list: LoadedList, text: string): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK)
  try {
    const stats = await file.stat()
    if (fileOf(stats) !== list.file || stats.size < list.offset) throw replaced(path)
    if (list.offset + Buffer.byteLength(text) > MAX_LIST_BYTES)
      throw brokenList(path, `it would be larger than ${MAX_LIST_BYTES} bytes`)
    // removes an incomplete line of a killed process
    if (stats.size > list.offset) await file.truncate(list.offset)
    await file.appendFile(text).catch(async (error: unknown) => {
      await file.truncate(list.offset).catch(() => {
        // the first error names the cause; readers ignore an incomplete line
      })
      throw error
    })
    await file.datasync()
  } finally {
    await file.close()
  }
  // a file that has replaced this one meanwhile lacks the lines
  if (fileOf(await stat(path)) !== list.file) throw replaced(path)
}

function replaced(path: string): MeshError {
  return new MeshError('MESH_DISK_WRITE', `${path} was replaced while it was written`)
}
