/**
 * Reads a certificate revocation list, version 2 (RFC 5280, section 5). The list decides which peers are refused, so a list that is not
 * about all certificates of its CA is refused by name: delta, indirect and partial lists, whether their mark is critical
 * or not. So is whatever is critical and not understood.
 */
import { MeshError } from '@clawmesh/proto'
import {
  DER_TAG,
  DerError,
  type DerValue,
  expectDer,
  formatOid,
  readBounds,
  readDer,
  readDerList,
} from '../der.ts'
import { canonicalSerial } from '../peer-certificate.ts'
import { scopeFault } from './crl-scope.ts'

export interface Crl {
  /** The encoded name of the CA that signed the list. */
  readonly issuer: Uint8Array
  /** Lower-case hexadecimal; null when the list has none. */
  readonly number: string | null
  readonly thisUpdate: Date
  /** Null: it never becomes stale. */
  readonly nextUpdate: Date | null
  /** Lower-case hexadecimal, without leading zeros. */
  readonly serials: ReadonlySet<string>
  readonly signature: {
    /** The content of the OBJECT IDENTIFIER, hexadecimal. */
    readonly algorithm: string
    /** DER of its parameters; null without any. */
    readonly parameters: Uint8Array | null
    readonly signed: Uint8Array
    readonly bytes: Uint8Array
  }
}

/** Room for some two hundred thousand certificates. */
export const MAX_CRL_BYTES = 8 * 1024 * 1024

/** 2.5.29.n, by n: what is understood of a list (RFC 5280, section 5.2), and of an entry (section 5.3). */
const KNOWN_OF_LIST: ReadonlySet<number> = new Set([18, 20, 27, 28, 35])
const KNOWN_OF_ENTRY: ReadonlySet<number> = new Set([21, 24])
const CRL_NUMBER = 20
const NONE: ReadonlyMap<number, Uint8Array> = new Map()

/** @throws MeshError MESH_REVOCATION_INVALID */
export function parseCrl(der: Uint8Array): Crl {
  if (der.length > MAX_CRL_BYTES)
    throw new MeshError('MESH_REVOCATION_INVALID', `a list is larger than ${MAX_CRL_BYTES} bytes`)
  try {
    return read(der)
  } catch (cause) {
    if (!(cause instanceof DerError)) throw cause
    const why = `a list of revoked certificates is not well-formed: ${cause.message}`
    throw new MeshError('MESH_REVOCATION_INVALID', why, { cause })
  }
}

function read(der: Uint8Array): Crl {
  const [body, algorithm, signature, ...more] = listOf(readDer(der), DER_TAG.SEQUENCE)
  if (body === undefined || more.length > 0) throw new DerError('it has other than three parts')
  const fields = [...listOf(body, DER_TAG.SEQUENCE)]
  const version = fields[0]?.tag === DER_TAG.INTEGER ? fields.shift() : undefined
  if (version !== undefined && (version.content.length !== 1 || version.content[0] !== 1))
    throw new DerError('it is of an unknown version')
  const inner = fields.shift()
  if (inner === undefined || algorithm === undefined || !same(inner.raw, algorithm.raw))
    throw new DerError('it names two algorithms')
  const issuer = fields.shift()
  expectDer(issuer, DER_TAG.SEQUENCE)
  const thisUpdate = readTime(fields.shift())
  const next = isTime(fields[0]) ? readTime(fields.shift()) : null
  const entries = fields[0]?.tag === DER_TAG.SEQUENCE ? fields.shift() : undefined
  const outer = fields[0]?.tag === 0xa0 ? fields.shift() : undefined
  if (fields.length > 0) throw new DerError('it has more fields than are known')
  const extensions = outer === undefined ? NONE : readListExtensions(outer)
  const fault = scopeFault(extensions)
  if (fault !== null) throw partial(fault)
  const number = extensions.get(CRL_NUMBER)
  const bits = expectDer(signature, DER_TAG.BIT_STRING)
  if (bits[0] !== 0) throw new DerError('the signature is not of whole bytes')
  const [scheme, parameters, ...rest] = listOf(algorithm, DER_TAG.SEQUENCE)
  if (rest.length > 0) throw new DerError('its algorithm has more than one set of parameters')
  return Object.freeze({
    issuer: issuer?.raw ?? new Uint8Array(),
    number: number === undefined ? null : readSerial(readDer(number)),
    thisUpdate,
    nextUpdate: next,
    serials: entries === undefined ? new Set<string>() : readEntries(entries),
    signature: Object.freeze({
      algorithm: hex(expectDer(scheme, DER_TAG.OID)),
      parameters: parameters?.raw ?? null,
      signed: body.raw,
      bytes: bits.subarray(1),
    }),
  })
}

/** By bounds, without an object for each part: a list may have a hundred thousand entries. */
function readEntries(entries: DerValue): Set<string> {
  const serials = new Set<string>()
  const { buffer, byteOffset, length } = entries.content
  const bytes = Buffer.from(buffer, byteOffset, length)
  for (let at = 0; at < length; ) {
    const entry = readBounds(bytes, at)
    if (entry.tag !== DER_TAG.SEQUENCE) throw new DerError('an entry is no sequence')
    const serial = readBounds(bytes, entry.start)
    const revoked = readBounds(bytes, serial.end)
    if (serial.tag !== DER_TAG.INTEGER || !isTime(revoked) || revoked.end > entry.end)
      throw new DerError('an entry is not a serial number and a time')
    if (revoked.end < entry.end)
      checkExtensions(readDer(bytes.subarray(revoked.end, entry.end)), KNOWN_OF_ENTRY)
    serials.add(serialOf(bytes, serial.start, serial.end))
    at = entry.end
  }
  return serials
}

function readListExtensions(outer: DerValue): ReadonlyMap<number, Uint8Array> {
  return checkExtensions(readDer(outer.content), KNOWN_OF_LIST)
}

function partial(fault: string): MeshError {
  return new MeshError('MESH_REVOCATION_INVALID', `a list of revoked certificates ${fault}`, {
    hint: 'have the CA sign one list about all of its certificates, and put that in its place',
  })
}

/** What is understood, by n of 2.5.29.n. A critical one that is not is refused, as section 5.2 asks. */
function checkExtensions(
  list: DerValue,
  known: ReadonlySet<number>,
): ReadonlyMap<number, Uint8Array> {
  const found = new Map<number, Uint8Array>()
  for (const extension of listOf(list, DER_TAG.SEQUENCE)) {
    const [id, second, third, ...more] = listOf(extension, DER_TAG.SEQUENCE)
    if (more.length > 0) throw new DerError('an extension has other than two or three parts')
    const critical = third !== undefined && expectDer(second, DER_TAG.BOOLEAN)[0] !== 0
    const value = expectDer(third ?? second, DER_TAG.OCTET_STRING)
    const oid = expectDer(id, DER_TAG.OID)
    const last = oid.length === 3 && oid[0] === 0x55 && oid[1] === 0x1d ? (oid[2] ?? -1) : -1
    if (critical && !known.has(last))
      throw new DerError(`its critical extension ${formatOid(oid)} is not known`)
    if (found.has(last) && last !== -1) throw new DerError('an extension occurs twice')
    found.set(last, value)
  }
  return found
}

function readSerial(value: DerValue): string {
  const content = Buffer.from(expectDer(value, DER_TAG.INTEGER))
  return serialOf(content, 0, content.length)
}

function serialOf(bytes: Buffer, start: number, end: number): string {
  if (end === start || end - start > 21 || (bytes[start] ?? 0) >= 0x80)
    throw new DerError('a number is negative or too long')
  return canonicalSerial(bytes.toString('hex', start, end))
}

function isTime(value: { readonly tag: number } | undefined): boolean {
  return value?.tag === DER_TAG.UTC_TIME || value?.tag === DER_TAG.GENERALIZED_TIME
}

/** As section 5.1.2.4 has it: in UTC, with seconds, years from 2050 with four digits. */
function readTime(value: DerValue | undefined): Date {
  if (value === undefined || !isTime(value)) throw new DerError('a time was expected')
  const text = Buffer.from(value.content).toString('latin1')
  const short = value.tag === DER_TAG.UTC_TIME
  const form = short
    ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/
    : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/
  const [, ...digits] = form.exec(text) ?? []
  const [year = Number.NaN, month = 0, day = 0, hour = 0, minute = 0, second = 0] =
    digits.map(Number)
  const full = short ? year + (year < 50 ? 2000 : 1900) : year
  const date = new Date(Date.UTC(full, month - 1, day, hour, minute, second))
  // 31 February is no day, though Date.UTC makes one of it
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day)
    throw new DerError('not a time')
  return date
}

function listOf(value: DerValue | undefined, tag: number): DerValue[] {
  return readDerList(expectDer(value, tag))
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
