/**
 * Filters one ServerReflectionResponse (v1 and v1alpha are the same on the wire): removes services and methods that the
 * caller may not call. Pure. An answer that needs no change keeps every byte.
 */

import { StepBudget } from '../../policy/compile/step-budget.ts'
import type { Callable } from '../../policy/decide/callable.ts'
import {
  FieldReader,
  lengthField,
  numberField,
  textOf,
  type WireField,
  wholeOf,
} from './wire-fields.ts'

/** Field numbers of reflection.proto. */
const RESPONSE = { originalRequest: 2, files: 4, list: 6, error: 7, validHost: 1 } as const
const REQUEST = { symbol: 4 } as const
const FILES = { file: 1 } as const
const LIST = { service: 1 } as const
const LISTED = { name: 1 } as const
/** Field numbers of descriptor.proto. */
const FILE = { package: 2, service: 6, sourceInfo: 9 } as const
const SERVICE = { name: 1, method: 2 } as const
const METHOD = { name: 1 } as const
const NOT_FOUND = 5

/** Enough for a list of thousands of services; a hostile answer has a field in every two bytes. */
const MAX_FIELDS = 20_000
/** Methods checked against policy for one answer. */
const MAX_JUDGED = 20_000

interface Filtering {
  readonly callable: Callable
  readonly read: FieldReader
  readonly budget: StepBudget
  /** The requested symbol; empty for another kind of request, or when the peer does not repeat it. */
  asked: string
  /** The number of services and methods that were removed. */
  hidden: number
  /** True when the requested symbol is one of them, or within one. */
  askedIsHidden: boolean
}

/** @throws MeshError MESH_PEER_PROTOCOL, MESH_POLICY_TOO_COSTLY */
export function filterAnswer(
  answer: Buffer,
  callable: Callable,
  budget: StepBudget = new StepBudget(MAX_JUDGED),
): Buffer {
  const read = new FieldReader(MAX_FIELDS)
  const by: Filtering = { callable, read, budget, asked: '', hidden: 0, askedIsHidden: false }
  const fields = read.fields(answer)
  by.asked = askedSymbol(fields, by)
  const pieces = fields.map((field) => {
    if (field.number === RESPONSE.list) return filterList(field, by)
    if (field.number === RESPONSE.files) return filterFiles(field, by)
    return field
  })
  if (by.askedIsHidden) return notFound(fields, by.asked)
  return isUnchanged(pieces, fields) ? answer : joined(pieces)
}

/** The answer of a server that has no such symbol. */
function notFound(fields: readonly WireField[], symbol: string): Buffer {
  const echoed = fields.filter(
    ({ number }) => number === RESPONSE.validHost || number === RESPONSE.originalRequest,
  )
  const message = Buffer.from(`Symbol not found: ${symbol}`)
  const error = Buffer.concat([numberField(1, NOT_FOUND), lengthField(2, message)])
  return Buffer.concat([...echoed.map(wholeOf), lengthField(RESPONSE.error, error)])
}

function askedSymbol(fields: readonly WireField[], { read }: Filtering): string {
  const request = fields.findLast(({ number }) => number === RESPONSE.originalRequest)
  if (request === undefined) return ''
  return read.text(request, REQUEST.symbol).replace(/^\./, '')
}

function filterList(list: WireField, by: Filtering): Piece {
  const shown = (listed: WireField) =>
    by.callable.service(by.read.text(listed, LISTED.name), by.budget)
  return rebuild(list, by, (field) =>
    field.number !== LIST.service || shown(field) ? field : null,
  )
}

function filterFiles(files: WireField, by: Filtering): Piece {
  return rebuild(files, by, (field) =>
    field.number === FILES.file ? filterFile(field, by) : field,
  )
}

function filterFile(file: WireField, by: Filtering): Piece {
  const fields = by.read.fields(file)
  const scope = textOf(fields, FILE.package)
  const before = by.hidden
  const pieces = fields.map((field) =>
    field.number === FILE.service ? filterService(field, scope, by) : field,
  )
  if (by.hidden === before) return file
  // source info refers to elements by index, and would describe removed ones
  const kept = pieces.filter((_, i) => fields[i]?.number !== FILE.sourceInfo)
  return lengthField(file.number, joined(kept))
}

function filterService(service: WireField, scope: string, by: Filtering): Piece {
  const { callable, read, budget } = by
  const fields = read.fields(service)
  const local = textOf(fields, SERVICE.name)
  const name = scope === '' ? local : `${scope}.${local}`
  // the requested part of this service: null for another service, empty for the service itself
  const asked = within(by.asked, name)
  const closed = new Set<WireField>()
  let methods = 0
  for (const field of fields) {
    if (field.number !== SERVICE.method) continue
    methods += 1
    const method = read.text(field, METHOD.name)
    if (callable.method(name, method, budget)) continue
    closed.add(field)
    by.hidden += 1
    if (asked !== null && within(asked, method) !== null) by.askedIsHidden = true
  }
  const shown = methods === 0 ? callable.service(name, budget) : closed.size < methods
  if (shown)
    return closed.size === 0
      ? service
      : lengthField(service.number, joined(fields.filter((field) => !closed.has(field))))
  by.hidden += 1
  if (asked !== null) by.askedIsHidden = true
  return null
}

/** The rest of the symbol after the name, empty when they are equal; null when the symbol is not within it. */
function within(symbol: string, name: string): string | null {
  if (symbol === '' || !symbol.startsWith(name)) return null
  if (symbol.length === name.length) return ''
  return symbol[name.length] === '.' ? symbol.slice(name.length + 1) : null
}

/** A field as received, a rewritten one, or null to remove it. */
type Piece = WireField | Buffer | null

/** Rewrites the content of a field piece by piece; null removes a piece. */
function rebuild(
  field: WireField,
  { read }: Filtering,
  change: (piece: WireField) => Piece,
): Piece {
  const fields = read.fields(field)
  const pieces = fields.map(change)
  return isUnchanged(pieces, fields) ? field : lengthField(field.number, joined(pieces))
}

function isUnchanged(pieces: readonly Piece[], fields: readonly WireField[]): boolean {
  return pieces.every((piece, i) => piece === fields[i])
}

function joined(pieces: readonly Piece[]): Buffer {
  const kept = pieces.filter((piece) => piece !== null)
  return Buffer.concat(kept.map((piece) => (Buffer.isBuffer(piece) ? piece : wholeOf(piece))))
}
