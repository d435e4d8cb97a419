/**
 * Follows the gateway's own revocation list: reads the lines appended since the last reading, and the whole file when
 * it was replaced. Never goes back in history. A list that is broken, missing, older than the one read, or another one
 * created earlier admits nothing: known revocations stay, and those of an older list are added.
 */
import { constants, type Stats } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { createDisk, type Disk, FileFault } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { codeOf } from '../process/error-code.ts'
import type { Position } from './journal-lines.ts'
import { missingList, olderList, unreadableList } from './list-faults.ts'
import {
  isSameBeginning,
  type LoadedList,
  loadAppended,
  loadList,
  type Pieces,
} from './load-list.ts'
import { RevokedIndex } from './revoked-index.ts'

export interface ListReader {
  /** The known revocations. */
  index(): RevokedIndex
  /** The UUID of the list; null before the first reading, and for the old format. */
  id(): string | null
  /** Stays equal while nothing has changed. */
  state(): string
  /**
   * Reads new lines; concurrent calls run one after another.
   * @throws MeshError MESH_REVOCATION_MISSING, MESH_REVOCATION_INVALID; known revocations stay
   */
  catchUp(): Promise<void>
  /** The same, before a change is appended: an older copy is no fault here. */
  catchUpToAppend(): Promise<LoadedList>
  /** True when the file is older than the known position. */
  isOlder(): boolean
  /** Reads the whole file the next time. */
  forget(): void
}

/** Room for a hundred thousand entries of agents and several hundred thousand of operators. */
export const MAX_LIST_BYTES = 256 * 1024 * 1024
/** The time resolution of a file system, in milliseconds: two writes within it may look the same. */
const UNSURE_MS = 2_000

/** @param disk the queue of disk operations. Default: one for this list */
export function createListReader(path: string, disk: Disk = createDisk()): ListReader {
  const reading = new Reading(path, disk)
  return {
    index: () => reading.index(),
    id: () => reading.id(),
    state: () => reading.state(),
    catchUp: () => reading.catchUp(),
    catchUpToAppend: () => reading.catchUpToAppend(),
    isOlder: () => reading.isOlder(),
    forget: () => reading.forget(),
  }
}

class Reading implements ListReader {
  readonly #path: string
  readonly #disk: Disk
  readonly #nothing = new RevokedIndex()
  #list: LoadedList | null = null
  /** The furthest position read; it identifies an older copy. */
  #known: Position | null = null
  /** True when the file is older than the known position. */
  #older = false
  /** The state of the file after its last full reading, and its fault. Empty: the file may have changed since. */
  #seen = ''
  #fault: MeshError | null = null
  /** The fault of an older copy: it may be written on, and nothing else that is wrong may. */
  #outdated: MeshError | null = null
  #last: Promise<unknown> = Promise.resolve()

  constructor(path: string, disk: Disk) {
    this.#path = path
    this.#disk = disk
  }

  index(): RevokedIndex {
    return this.#list?.index ?? this.#nothing
  }

  id(): string | null {
    return this.#list?.position.list ?? null
  }

  state(): string {
    if (this.#list === null) return ''
    const { list, seq, mark } = this.#list.position
    return `${list} ${seq} ${mark}`
  }

  catchUp(): Promise<void> {
    return this.#inTurn(() => this.#read())
  }

  catchUpToAppend(): Promise<LoadedList> {
    return this.#inTurn(async () => {
      await this.#read().catch((error: unknown) => {
        if (error !== this.#outdated) throw error
      })
      if (this.#list === null) throw missingList(this.#path)
      return this.#list
    })
  }

  isOlder(): boolean {
    return this.#older
  }

  forget(): void {
    if (this.#list !== null) this.#list.file = ''
    this.#seen = ''
  }

  #ask<T>(work: () => Promise<T>): Promise<T> {
    return this.#disk.run(this.#path, work)
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => {
      // the caller gets the error
    })
    return turn
  }

  async #read(): Promise<void> {
    const before = await this.#ask(() => stat(this.#path)).catch((error: unknown) => {
      throw faultOf(this.#path, error)
    })
    if (markOf(before) !== this.#seen) await this.#readFile(before)
    if (this.#fault !== null) throw this.#fault
  }

  async #readFile(before: Stats): Promise<void> {
    this.#seen = ''
    this.#fault = null
    try {
      const { opened, stats } = await this.#ask(() => openRegular(this.#path))
      try {
        const pieces: Pieces = {
          read: (buffer, offset, length, position) =>
            this.#ask(() => opened.read(buffer, offset, length, position)),
        }
        this.#list = await this.#take(pieces, stats, this.#list)
      } finally {
        // not awaited: closing would wait for a reading that the disk has not answered
        void opened.close().catch(() => {})
      }
      if (this.#older) {
        this.#outdated = olderList(this.#path)
        throw this.#outdated
      }
      this.#known = this.#list.position
    } catch (error) {
      this.#fault = faultOf(this.#path, error)
      if (!(error instanceof MeshError)) throw this.#fault
    }
    const { mtimeMs } = before
    if (Date.now() - mtimeMs > UNSURE_MS) this.#seen = markOf(before)
  }

  async #take(opened: Pieces, stats: Stats, last: LoadedList | null): Promise<LoadedList> {
    const file = fileOf(stats)
    const known = this.#known
    const options = { path: this.#path, known, sizeBytes: stats.size, file }
    if (last !== null && last.position.list !== null && last.file === file)
      if (await isSameBeginning(opened, stats.size, last)) {
        const met = await loadAppended(opened, last, options)
        // an older copy that has become the newest is read without the retained entries
        if (!this.#older || !met) return last
      }
    const { list: next, goesOn } = await loadList(opened, options)
    this.#older = !goesOn && (known === null || next.position.begunMs <= known.begunMs)
    if (this.#older && last !== null) retain(next.index, last.index)
    return next
  }
}

/** A revocation stays: of two entries for one value, the one that ends later holds. */
function retain(index: RevokedIndex, before: RevokedIndex): void {
  for (const entry of before.entries()) {
    const other = index.get(entry.kind, entry.value)
    const longer =
      other !== undefined &&
      (other.until === null ||
        (entry.until !== null && Date.parse(other.until) >= Date.parse(entry.until)))
    if (!longer) index.add(entry)
  }
}

async function openRegular(path: string): Promise<{ opened: FileHandle; stats: Stats }> {
  // O_NONBLOCK: opening a named pipe without a writer would block
  const opened = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stats = await opened.stat()
    if (!stats.isFile()) throw new FileFault('NOT_A_FILE', 'not a regular file')
    if (stats.size > MAX_LIST_BYTES)
      throw new FileFault('TOO_LARGE', `larger than ${MAX_LIST_BYTES} bytes`)
    return { opened, stats }
  } catch (error) {
    await opened.close()
    throw error
  }
}

function faultOf(path: string, error: unknown): MeshError {
  if (error instanceof MeshError) return error
  return codeOf(error) === 'ENOENT' ? missingList(path) : unreadableList(path, error)
}

function markOf({ dev, ino, size, mtimeMs, ctimeMs }: Stats): string {
  return `${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs}`
}

/** By device and inode. */
export function fileOf({ dev, ino }: Stats): string {
  return `${dev} ${ino}`
}
