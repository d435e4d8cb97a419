/**
 * Reads the gateway's own revocation list from an open file: the whole of it, in either format, or the lines appended
 * since.
 */
import { createHash } from 'node:crypto'
import {
  type Change,
  MAX_LINE_BYTES,
  type Position,
  parseBeginning,
  parseChange,
  parseHeader,
} from './journal-lines.ts'
import { brokenList } from './list-faults.ts'
import { MAX_OLD_BYTES, parseOldFormat } from './old-format.ts'
import { type Pieces, readLines } from './read-lines.ts'
import { indexOf, RevokedIndex } from './revoked-index.ts'

export type { Pieces } from './read-lines.ts'

/** A list that was read; appended lines change it. */
export interface LoadedList {
  readonly index: RevokedIndex
  position: Position
  /** The offset of the next line, in bytes. */
  offset: number
  /** The last line, without its line feed: it is still there if the file was only appended to. */
  tail: string
  /** The first line, where the last one is no change, whose mark would tell two lists apart; empty otherwise. */
  head: string
  /** The file that it was read from, by device and inode; empty: read the whole file the next time. */
  file: string
  /** The number of lines, to decide when to rewrite the file. */
  lines: number
}

export interface LoadOptions {
  /** For messages. */
  readonly path: string
  readonly sizeBytes: number
  /** By device and inode. */
  readonly file: string
  /** The position known before; null for none. */
  readonly known: Position | null
}

type PieceOptions = Pick<LoadOptions, 'path' | 'sizeBytes'>

/**
 * @returns goesOn: the file contains all of the known history
 * @throws MeshError MESH_REVOCATION_INVALID
 */
export async function loadList(
  file: Pieces,
  options: LoadOptions,
): Promise<{ readonly list: LoadedList; readonly goesOn: boolean }> {
  const { path, known, file: from } = options
  const digest = createHash('sha256')
  let list: LoadedList | null = null
  let sealed = false
  let goesOn = false
  for await (const lines of linesFrom(file, 0, options)) {
    for (const line of lines) {
      if (list === null) {
        const position = parseHeader(line)
        if (typeof position === 'string') throw brokenList(path, position)
        if (position === null) return await loadOldFormat(file, options)
        const index = new RevokedIndex()
        list = { index, position, offset: 0, tail: '', head: line, lines: 0, file: from }
        goesOn = isAfter(position, known) || isSame(position, known)
        passLine(list, line)
      } else if (sealed) {
        takeLine(list, line, path)
        if (list.position.seq === known?.seq) goesOn = isSame(list.position, known)
      } else {
        const read = parseBeginning(line)
        if (typeof read === 'string') throw brokenList(path, `line ${list.lines + 1}: ${read}`)
        if ('kind' in read) {
          list.index.add(read)
          digest.update(`${line}\n`)
        } else {
          sealed = read.entries === list.index.size && read.sha256 === digest.digest('hex')
          if (!sealed) throw brokenList(path, 'the entries that it begins with were altered')
        }
        passLine(list, line)
      }
    }
  }
  if (list === null) return await loadOldFormat(file, options)
  if (!sealed) throw brokenList(path, 'it ends before the end of the entries that it begins with')
  return { list, goesOn }
}

/**
 * @returns true when the list has reached the known position
 * @throws MeshError MESH_REVOCATION_INVALID; the changes before the faulty line hold
 */
export async function loadAppended(
  file: Pieces,
  list: LoadedList,
  options: LoadOptions,
): Promise<boolean> {
  let met = false
  for await (const lines of linesFrom(file, list.offset, options))
    for (const line of lines) {
      takeLine(list, line, options.path)
      if (list.position.seq === options.known?.seq) met = isSame(list.position, options.known)
    }
  return met
}

/** True when the file was at most appended to since the list was read from it. */
export async function isSameBeginning(
  file: Pieces,
  sizeBytes: number,
  { offset, tail, head }: LoadedList,
): Promise<boolean> {
  if (sizeBytes < offset) return false
  const last = Buffer.from(`${tail}\n`)
  if (!(await holds(file, last, offset - last.length))) return false
  return head === '' || (await holds(file, Buffer.from(`${head}\n`), 0))
}

async function holds(file: Pieces, expected: Buffer, at: number): Promise<boolean> {
  const found = Buffer.alloc(expected.length)
  const { bytesRead } = await file.read(found, 0, found.length, at)
  return bytesRead === found.length && found.equals(expected)
}

export function applyChange(index: RevokedIndex, change: Change): void {
  if ('add' in change) index.add(change.add)
  else index.remove(change.undo.kind, change.undo.value)
}

/** @param line of a change, without its line feed; has been read, or written */
export function passChange(list: LoadedList, line: string, after: Position): void {
  list.position = after
  list.head = ''
  passLine(list, line)
}

function passLine(list: LoadedList, line: string): void {
  list.tail = line
  list.offset += Buffer.byteLength(line) + 1
  list.lines += 1
}

function takeLine(list: LoadedList, line: string, path: string): void {
  const read = parseChange(line, list.position)
  if (typeof read === 'string') throw brokenList(path, `line ${list.lines + 1} ${read}`)
  applyChange(list.index, read.change)
  passChange(list, line, read.after)
}

async function* linesFrom(file: Pieces, from: number, { path, sizeBytes: to }: PieceOptions) {
  try {
    yield* readLines(file, { from, to, maxLineBytes: MAX_LINE_BYTES })
  } catch (error) {
    throw error instanceof RangeError ? brokenList(path, error.message, error) : error
  }
}

async function loadOldFormat(file: Pieces, options: LoadOptions) {
  const { path, sizeBytes, known, file: from } = options
  if (sizeBytes > MAX_OLD_BYTES) throw brokenList(path, `it is larger than ${MAX_OLD_BYTES} bytes`)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(sizeBytes), 0, sizeBytes, 0)
  const { entries, position } = parseOldFormat(buffer.subarray(0, bytesRead), path)
  const index = indexOf(entries)
  const lines = index.size
  const list = { index, position, offset: sizeBytes, tail: '', head: '', lines, file: from }
  return { list, goesOn: known === null || known.list === null }
}

function isAfter(position: Position, known: Position | null): boolean {
  if (known === null || known.list === null) return true
  return position.list === known.list && position.seq > known.seq
}

function isSame(position: Position, known: Position | null): boolean {
  return position.list === known?.list && position.seq === known.seq && position.mark === known.mark
}
