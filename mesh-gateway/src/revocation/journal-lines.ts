/**
 * The format of the gateway's own revocation list, a journal. A header names the list and the point in its history at
 * which the file begins; then come the entries in force at that point, and a seal with their number and digest; then
 * one line for each change. A change has the next number, and a mark (a hash) over the previous mark and its own text.
 * So a lost, changed or foreign line is noticed, and one mark tells two copies of a list apart.
 */
import { hash } from 'node:crypto'
import {
  isKind,
  isRevocationValue,
  type RevocationEntry,
  type RevocationKind,
  readEntry,
} from './entry.ts'

/** A position in the history of a list. */
export interface Position {
  /** UUID of the list; null: the file is in the format before journals. */
  readonly list: string | null
  /** When the list was created, milliseconds since the epoch. */
  readonly begunMs: number
  /** The number of changes so far. */
  readonly seq: number
  readonly mark: string
}

export type Change =
  | { readonly add: RevocationEntry }
  | { readonly undo: { readonly kind: RevocationKind; readonly value: string } }

/** Maximum length of a line, in bytes: names and reasons are bounded. */
export const MAX_LINE_BYTES = 16_384

const VERSION = 1
const MARK = /^[0-9a-f]{32}$/
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** The mark of a list without changes. */
export function firstMark(seed: string): string {
  return markOf('', seed)
}

export function formatHeader({ list, begunMs, seq, mark }: Position): string {
  const begun = new Date(begunMs).toISOString()
  return `${JSON.stringify({ clawmesh: 'revocations', version: VERSION, list, begun, seq, mark })}\n`
}

export function formatEntry(entry: RevocationEntry): string {
  return `${JSON.stringify(entry)}\n`
}

/** @param sha256 of the entries' lines with their line feeds, hexadecimal */
export function formatSeal(entries: number, sha256: string): string {
  return `${JSON.stringify({ entries, sha256 })}\n`
}

export function formatChange(
  before: Position,
  change: Change,
): { readonly line: string; readonly after: Position } {
  const seq = before.seq + 1
  const body = JSON.stringify({ seq, ...change }).slice(0, -1)
  const mark = markOf(before.mark, body)
  return { line: `${body}${suffix(mark)}\n`, after: { ...before, seq, mark } }
}

/** Null: not the header of a journal. A string: an unreadable header, and why. */
export function parseHeader(line: string): Position | string | null {
  const header = parseObject(line)
  if (header === null || Reflect.get(header, 'clawmesh') !== 'revocations') return null
  const field = (name: string): unknown => Reflect.get(header, name)
  if (field('version') !== VERSION)
    return 'it was written by another version of mesh-gateway, which alone can read it'
  const [list, begun, seq, mark] = [field('list'), field('begun'), field('seq'), field('mark')]
  if (typeof list !== 'string' || !UUID.test(list)) return 'its header names no list'
  if (typeof begun !== 'string' || !TIME.test(begun))
    return 'its header does not say when it was begun'
  if (!isCount(seq) || typeof mark !== 'string' || !MARK.test(mark))
    return 'its header does not say where in the history of the list it begins'
  return { list, begunMs: Date.parse(begun), seq, mark }
}

/** An initial entry, or the seal after them; a string says what is wrong. */
export function parseBeginning(
  line: string,
): RevocationEntry | { readonly entries: number; readonly sha256: string } | string {
  const value = parseObject(line)
  if (value === null) return 'is not JSON'
  const [entries, sha256]: unknown[] = [Reflect.get(value, 'entries'), Reflect.get(value, 'sha256')]
  if (isCount(entries) && typeof sha256 === 'string') return { entries, sha256 }
  return readEntry(value)
}

/** The change that follows `before`; a string says what is wrong. */
export function parseChange(
  line: string,
  before: Position,
): { readonly change: Change; readonly after: Position } | string {
  const value = parseObject(line)
  if (value === null) return 'is not JSON'
  const seq = before.seq + 1
  if (Reflect.get(value, 'seq') !== seq)
    return `is not change ${seq}: one is missing, or was put in`
  const body = line.slice(0, -suffix(before.mark).length)
  const mark = markOf(before.mark, body)
  if (!line.endsWith(suffix(mark))) return 'does not go with the lines before it: one was altered'
  const after = { ...before, seq, mark }
  const undone: unknown = Reflect.get(value, 'undo')
  if (undone === undefined) {
    const entry = readEntry(Reflect.get(value, 'add'))
    return typeof entry === 'string' ? entry : { change: { add: entry }, after }
  }
  const undo = readThing(undone)
  return undo === null ? 'takes back nothing that a list can hold' : { change: { undo }, after }
}

function readThing(from: unknown): { kind: RevocationKind; value: string } | null {
  if (typeof from !== 'object' || from === null) return null
  const [kind, value]: unknown[] = [Reflect.get(from, 'kind'), Reflect.get(from, 'value')]
  if (!isKind(kind) || typeof value !== 'string' || !isRevocationValue(kind, value)) return null
  return { kind, value }
}

function parseObject(line: string): object | null {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? value : null
  } catch {
    // the caller names the line
    return null
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function markOf(before: string, text: string): string {
  return hash('sha256', `${before}\n${text}`, 'hex').slice(0, 32)
}

function suffix(mark: string): string {
  return `,"mark":"${mark}"}`
}
