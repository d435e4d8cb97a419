/**
 * Reads the fields of a protobuf message on the wire (https://protobuf.dev/programming-guides/encoding/). Removing
 * fields this way keeps every byte of the others, unknown ones included: options, extensions.
 */
import { MeshError } from '@clawmesh/proto'

/** The position of a field in a message. No bytes are copied, and a view is created only on demand. */
export interface WireField {
  readonly number: number
  readonly message: Buffer
  /**
   * Offsets in the message: of the tag, of the content, and of its end. Content is that of a length-delimited field:
   * text, bytes or a message.
   */
  readonly start: number
  readonly from: number
  readonly end: number
}

const VARINT = 0
const FIXED64 = 1
const LENGTH = 2
const FIXED32 = 5

/** Reads messages, or contents of fields, with a maximum number of fields over all of them. */
export class FieldReader {
  #left: number

  constructor(maxFields: number) {
    this.#left = maxFields
  }

  /** @throws MeshError MESH_PEER_PROTOCOL */
  fields(of: Buffer | WireField): WireField[] {
    const fields: WireField[] = []
    for (const cursor = cursorIn(of); cursor.next(); ) {
      this.#count()
      const { number, message, start, from, at } = cursor
      fields.push({ number, message, start, from, end: at })
    }
    return fields
  }

  /**
   * Like `textOf` over the fields, without keeping them: a list may have ten thousand names. @throws MeshError
   * MESH_PEER_PROTOCOL
   */
  text(of: Buffer | WireField, number: number): string {
    let from = 0
    let end = 0
    const cursor = cursorIn(of)
    while (cursor.next()) {
      this.#count()
      if (cursor.number !== number) continue
      from = cursor.from
      end = cursor.at
    }
    return cursor.message.toString('utf8', from, end)
  }

  #count(): void {
    this.#left -= 1
    if (this.#left < 0)
      throw new MeshError('MESH_PEER_PROTOCOL', 'the peer answered reflection with too many fields')
  }
}

/** Tag, length and content. */
export function wholeOf({ message, start, end }: WireField): Buffer {
  return message.subarray(start, end)
}

function cursorIn(of: Buffer | WireField): Cursor {
  return Buffer.isBuffer(of)
    ? new Cursor(of, 0, of.length)
    : new Cursor(of.message, of.from, of.end)
}

/** Iterates over the fields. */
class Cursor {
  readonly message: Buffer
  readonly #end: number
  /** Of the current field, as in WireField. */
  number = 0
  start = 0
  from = 0
  /** The end of the current field. */
  at: number

  constructor(message: Buffer, begin: number, end: number) {
    this.message = message
    this.at = begin
    this.#end = end
  }

  /** False at the end of the message. @throws MeshError MESH_PEER_PROTOCOL */
  next(): boolean {
    if (this.at >= this.#end) return false
    this.start = this.at
    const tag = this.#varint()
    this.number = Math.floor(tag / 8)
    if (this.number === 0) throw malformed()
    this.#skip(tag % 8)
    if (this.at > this.#end) throw malformed()
    return true
  }

  #skip(type: number): void {
    if (type === LENGTH) {
      const length = this.#varint()
      this.from = this.at
      this.at += length
      return
    }
    if (type === VARINT) this.#varint()
    else if (type === FIXED64) this.at += 8
    else if (type === FIXED32) this.at += 4
    else throw malformed()
    this.from = this.at
  }

  #varint(): number {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.at < this.#end ? this.message[this.at] : undefined
      if (byte === undefined) throw malformed()
      this.at += 1
      // most tags and lengths have one byte
      if (shift === 0 && byte < 0x80) return byte
      // bits beyond 32 only add to the size of the field; lengths and tags do not use them
      if (shift < 35) value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw malformed()
  }
}

/** Encodes a length-delimited field. */
export function lengthField(number: number, content: Buffer): Buffer {
  return Buffer.concat([varintBytes(number * 8 + LENGTH), varintBytes(content.length), content])
}

export function numberField(number: number, value: number): Buffer {
  return Buffer.concat([varintBytes(number * 8 + VARINT), varintBytes(value)])
}

/** The text of a field that occurs once; if repeated, the last one counts, as in protobuf. */
export function textOf(fields: readonly WireField[], number: number): string {
  for (let at = fields.length - 1; at >= 0; at -= 1) {
    const field = fields[at]
    if (field?.number === number) return field.message.toString('utf8', field.from, field.end)
  }
  return ''
}

function varintBytes(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80)
  bytes.push(rest)
  return Buffer.from(bytes)
}

function malformed(): MeshError {
  return new MeshError('MESH_PEER_PROTOCOL', 'the peer answered reflection with a broken message')
}
