/**
 * Follows the gateway's own list: reads what was appended since it looked last, and all of it when the file is another one.
 * It never goes back. A list that is broken, gone, older than what was read, or another one begun earlier lets nobody in: what
 * was known stays, and what an older one revokes holds too.
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
  /** What is revoked, as far as it is known. */
  index(): RevokedIndex
  /** Which list it is: its UUID; null before the first reading, and of the old format. */
  id(): string | null
  /** Equal as long as nothing has changed. */
  state(): string
  /**
   * Reads what is new; one after another.
   * @throws MeshError MESH_REVOCATION_MISSING, MESH_REVOCATION_INVALID; what was known stays
   */
  catchUp(): Promise<void>
  /** The same, for a change that comes next in the file: an older copy is no fault here. */
  catchUpToAppend(): Promise<LoadedList>
  /** The file is older than what is known. */
  isOlder(): boolean
  /** Reads all of it the next time. */
  forget(): void
}

/** Room for a hundred thousand entries of agents and several hundred thousand of operators. */
export const MAX_LIST_BYTES = 256 * 1024 * 1024
/** Within this a file system may not tell two writes apart by their time, in milliseconds. */
const UNSURE_MS = 2_000

/** @param disk where the questions to the disk wait for their turn. Default one for this list */
export function createListReader(path: string, disk: Disk = createDisk()): ListReader {
  const ask = <T>(work: () => Promise<T>): Promise<T> => disk.run(path, work)
  const nothing = new RevokedIndex()
  let list: LoadedList | null = null
  /** The furthest that was read: an older copy is known by it. */
  let known: Position | null = null
  /** The file is older than what is known. */
  let older = false
  /** How the file looked when all of it had been read, and what was wrong with it. Empty: it may have changed since. */
  let seen = ''
  let fault: MeshError | null = null
  /** The fault of an older copy: it may be written on, and nothing else that is wrong may. */
  let outdated: MeshError | null = null
  let last: Promise<unknown> = Promise.resolve()

  async function read(): Promise<void> {
    const before = await ask(() => stat(path)).catch((error: unknown) => {
      throw faultOf(path, error)
    })
    if (markOf(before) !== seen) await readFile(before)
    if (fault !== null) throw fault
  }

  async function readFile(before: Stats): Promise<void> {
    seen = ''
    fault = null
    try {
      const { opened, stats } = await ask(() => openRegular(path))
      try {
        const pieces: Pieces = {
          read: (buffer, offset, length, position) =>
            ask(() => opened.read(buffer, offset, length, position)),
        }
        list = await take(pieces, stats, list)
      } finally {
        // it would wait for a reading that the disk has not answered
        void opened.close().catch(() => {})
      }
      if (older) {
        outdated = olderList(path)
        throw outdated
      }
      known = list.position
    } catch (error) {
      fault = faultOf(path, error)
      if (!(error instanceof MeshError)) throw fault
    }
    const { mtimeMs } = before
    if (Date.now() - mtimeMs > UNSURE_MS) seen = markOf(before)
  }

  async function take(opened: Pieces, stats: Stats, last: LoadedList | null): Promise<LoadedList> {
    const file = fileOf(stats)
    const options = { path, known, sizeBytes: stats.size, file }
    if (last !== null && last.position.list !== null && last.file === file)
      if (await isSameBeginning(opened, stats.size, last)) {
        const met = await loadAppended(opened, last, options)
        // an older copy that has become the newest is read without what was kept beside it
        if (!older || !met) return last
      }
    const { list: next, goesOn } = await loadList(opened, options)
    older = !goesOn && (known === null || next.position.begunMs <= known.begunMs)
    if (older && last !== null) retain(next.index, last.index)
    return next
  }

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = last.then(work)
    last = turn.catch(() => {
      // the caller is told
    })
    return turn
  }

  return {
    index: () => list?.index ?? nothing,
    id: () => list?.position.list ?? null,
    state: () =>
      list === null ? '' : `${list.position.list} ${list.position.seq} ${list.position.mark}`,
    catchUp: () => inTurn(read),
    catchUpToAppend: () =>
      inTurn(async () => {
        await read().catch((error: unknown) => {
          if (error !== outdated) throw error
        })
        if (list === null) throw missingList(path)
        return list
      }),
    isOlder: () => older,
    forget() {
      if (list !== null) list.file = ''
      seen = ''
    },
  }
}

/** What was revoked stays so: the entry that ends later holds. */
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
  // without O_NONBLOCK a named pipe without a writer would be waited for
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
