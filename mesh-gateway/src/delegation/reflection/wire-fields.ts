/**
 * The fields of a protobuf message as they lie on the wire (https://protobuf.dev/programming-guides/encoding/). Leaving
 * fields out this way keeps every byte of the others, those included that nobody here knows: options, extensions.
 */
import { MeshError } from '@clawmesh/proto'

export interface WireField {
  readonly number: number
  /** Tag, length and content. */
  readonly whole: Buffer
  /** Of a field with a length: text, bytes or a message. Otherwise empty. */
  readonly content: Buffer
}

const VARINT = 0
const FIXED64 = 1
const LENGTH = 2
const FIXED32 = 5

/** Reads messages, all of them together with so many fields at most. @throws MeshError MESH_PEER_PROTOCOL */
export type FieldReader = (message: Buffer) => WireField[]

export function createFieldReader(maxFields: number): FieldReader {
  let left = maxFields
  return (message) => {
    const fields = readFields(message, left)
    left -= fields.length
    return fields
  }
}

function readFields(message: Buffer, most: number): WireField[] {
  const fields: WireField[] = []
  let at = 0

  function varint(): number {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = message[at]
      if (byte === undefined) throw malformed()
      at += 1
      // beyond 32 bits only the size of the field matters, and lengths and tags do not get there
      if (shift < 35) value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw malformed()
  }

  while (at < message.length) {
    const start = at
    const tag = varint()
    const number = Math.floor(tag / 8)
    let content = message.subarray(0, 0)
    if (number === 0) throw malformed()
    switch (tag % 8) {
      case VARINT:
        varint()
        break
      case FIXED64:
        at += 8
        break
      case FIXED32:
        at += 4
        break
      case LENGTH: {
        const length = varint()
        content = message.subarray(at, at + length)
        at += length
        break
      }
      default:
        throw malformed()
    }
    if (at > message.length) throw malformed()
    if (fields.length >= most)
      throw new MeshError('MESH_PEER_PROTOCOL', 'the peer answered reflection with too many fields')
    fields.push({ number, whole: message.subarray(start, at), content })
  }
  return fields
}

/** A field with a length. */
export function lengthField(number: number, content: Buffer): Buffer {
  return Buffer.concat([varintBytes(number * 8 + LENGTH), varintBytes(content.length), content])
}

export function numberField(number: number, value: number): Buffer {
  return Buffer.concat([varintBytes(number * 8 + VARINT), varintBytes(value)])
}

/** The text of a field that occurs once; of several the last counts, as protobuf has it. */
export function textOf(fields: readonly WireField[], number: number): string {
  return fields.findLast((field) => field.number === number)?.content.toString('utf8') ?? ''
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
