/**
 * A strict reader of DER (X.690): definite, minimal lengths, one-byte tags, everything within bounds.
 * Certificates decide the identity of a peer, so the reader refuses any encoding that it does not know.
 */
export interface DerValue {
  readonly tag: number
  readonly content: Uint8Array
  /** Tag, length and content. */
  readonly raw: Uint8Array
}

export const DER_TAG = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  OID: 0x06,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
  SEQUENCE: 0x30,
} as const

export class DerError extends Error {
  override readonly name = 'DerError'
}

/** The one value that the bytes hold, nothing after it. @throws DerError */
export function readDer(bytes: Uint8Array): DerValue {
  const { value, end } = readAt(bytes, 0)
  if (end !== bytes.length) throw new DerError('bytes after the value')
  return value
}

/** The values that follow one another in the bytes. @throws DerError */
export function readDerList(bytes: Uint8Array): DerValue[] {
  const values: DerValue[] = []
  for (let at = 0; at < bytes.length; ) {
    const { value, end } = readAt(bytes, at)
    values.push(value)
    at = end
  }
  return values
}

/** The content of a value that must have this tag. @throws DerError */
export function expectDer(value: DerValue | undefined, tag: number): Uint8Array {
  if (value === undefined || value.tag !== tag) throw new DerError('another tag was expected')
  return value.content
}

/** The dotted form of an OBJECT IDENTIFIER, from its content; for messages. */
export function formatOid(content: Uint8Array): string {
  const arcs: number[] = []
  let arc = 0
  for (const byte of content) {
    arc = arc * 128 + (byte & 0x7f)
    if (byte >= 0x80) continue
    if (arcs.length === 0) {
      const first = Math.min(2, Math.floor(arc / 40))
      arcs.push(first, arc - first * 40)
    } else arcs.push(arc)
    arc = 0
  }
  return arcs.slice(0, 20).join('.')
}

function readAt(bytes: Uint8Array, at: number): { value: DerValue; end: number } {
  const { tag, start, end } = readBounds(bytes, at)
  const value = { tag, content: bytes.subarray(start, end), raw: bytes.subarray(at, end) }
  return { value, end }
}

/** Where the content of the value at `at` begins and ends: for lists too long to make an object of each part. @throws DerError */
export function readBounds(
  bytes: Uint8Array,
  at: number,
): { readonly tag: number; readonly start: number; readonly end: number } {
  const tag = byteAt(bytes, at)
  if ((tag & 0x1f) === 0x1f) throw new DerError('tags of several bytes do not occur here')
  const first = byteAt(bytes, at + 1)
  let start = at + 2
  let length = first
  if (first >= 0x80) {
    const count = first - 0x80
    if (count === 0 || count > 4) throw new DerError('indefinite or excessive length')
    length = 0
    for (let i = 0; i < count; i += 1) length = length * 256 + byteAt(bytes, start + i)
    start += count
    const minimal = length >= 0x80 && length >= 256 ** (count - 1)
    if (!minimal) throw new DerError('length is not minimal')
  }
  const end = start + length
  if (end > bytes.length) throw new DerError('value runs past the end')
  return { tag, start, end }
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]
  if (byte === undefined) throw new DerError('value runs past the end')
  return byte
}
