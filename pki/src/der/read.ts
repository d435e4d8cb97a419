/**
 * Reads DER, strictly: definite and minimal lengths, single-byte tags, no trailing bytes. The caller walks the expected
 * structure, so nothing here recurses, and hostile nesting costs nothing.
 */
import { MeshError } from '@clawmesh/proto'

/** The identifier octets that the mesh uses. */
export const TAG = Object.freeze({
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
})

export interface DerValue {
  /** The identifier octet: class, constructed bit and number together. */
  readonly tag: number
  readonly content: Buffer
  /** Identifier, length and content. */
  readonly raw: Buffer
}

/** The only value in `bytes`. @throws MeshError MESH_PKI_INVALID. */
export function readDer(bytes: Buffer): DerValue {
  const [value, ...rest] = readAll(bytes)
  if (value === undefined || rest.length > 0) throw malformed('one value was expected')
  return value
}

/** The values within a constructed value. */
export function children(value: DerValue): readonly DerValue[] {
  if ((value.tag & 0x20) === 0) throw malformed('a constructed value was expected')
  return readAll(value.content)
}

/** Like children, for a value that must have this tag. */
export function itemsOf(value: DerValue | undefined, tag: number): readonly DerValue[] {
  return children(expect(value, tag))
}

export function expect(value: DerValue | undefined, tag: number): DerValue {
  if (value?.tag !== tag) throw malformed('a value has an unexpected type')
  return value
}

export function readOid(value: DerValue | undefined): string {
  const { content } = expect(value, TAG.oid)
  const last = content.at(-1)
  if (last === undefined || last >= 0x80 || content.length > 64) throw malformed('bad identifier')
  const arcs: bigint[] = []
  let arc = 0n
  for (const byte of content) {
    arc = (arc << 7n) | BigInt(byte & 0x7f)
    if (byte < 0x80) {
      arcs.push(arc)
      arc = 0n
    }
  }
  const [first = 0n, ...rest] = arcs
  const top = first < 80n ? first / 40n : 2n
  return [top, first - top * 40n, ...rest].join('.')
}

export function readBoolean(value: DerValue | undefined): boolean {
  const { content } = expect(value, TAG.boolean)
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff))
    throw malformed('bad boolean')
  return content[0] === 0xff
}

/** A non-negative INTEGER that fits 32 bits. */
export function readSmallInteger(value: DerValue | undefined): number {
  const { content } = expect(value, TAG.integer)
  if (content.length === 0 || content.length > 5 || (content[0] ?? 0) >= 0x80)
    throw malformed('bad integer')
  return content.readUIntBE(0, content.length)
}

/** The bytes of a BIT STRING; unused bits must be zero. */
export function readBits(value: DerValue | undefined): Buffer {
  const { content } = expect(value, TAG.bitString)
  const unused = content[0]
  const last = content.length > 1 ? (content.at(-1) ?? 0) : 0
  if (unused === undefined || unused > 7 || (last & ((1 << unused) - 1)) !== 0)
    throw malformed('bad bit string')
  return content.subarray(1)
}

/** The bytes of a BIT STRING of whole bytes: a signature, a key. */
export function readBitBytes(value: DerValue | undefined): Buffer {
  const bytes = readBits(value)
  if (value?.content[0] !== 0) throw malformed('bad bit string')
  return bytes
}

export function malformed(what: string): MeshError {
  return new MeshError('MESH_PKI_INVALID', `it is not well-formed DER: ${what}`)
}

function readAll(bytes: Buffer): DerValue[] {
  const values: DerValue[] = []
  for (let at = 0; at < bytes.length; ) {
    const value = readAt(bytes, at)
    values.push(value)
    at += value.raw.length
  }
  return values
}

function readAt(bytes: Buffer, at: number): DerValue {
  const tag = bytes[at]
  const first = bytes[at + 1]
  if (tag === undefined || first === undefined) throw malformed('it is cut short')
  if ((tag & 0x1f) === 0x1f) throw malformed('a tag of several bytes')
  const more = first < 0x80 ? 0 : first & 0x7f
  if (first === 0x80 || more > 4 || at + 2 + more > bytes.length) throw malformed('bad length')
  const length = more === 0 ? first : bytes.readUIntBE(at + 2, more)
  if (more > 0 && (length < 0x80 || bytes[at + 2] === 0)) throw malformed('a length is not minimal')
  const start = at + 2 + more
  if (start + length > bytes.length) throw malformed('it is cut short')
  return {
    tag,
    content: bytes.subarray(start, start + length),
    raw: bytes.subarray(at, start + length),
  }
}
