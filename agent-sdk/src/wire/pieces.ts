/**
 * Results larger than one message, cut and put together again. Text and JSON are cut between
 * characters, so that every piece is valid UTF-8 by itself.
 */
import { MeshError } from '@clawmesh/proto'
import type { WirePart, WireResult } from './messages.ts'

/** Well under the 4 MiB that gRPC takes by default. */
export const PIECE_BYTES = 1024 * 1024

/** At least one result; `more` on all but the last. Parts that carry no content of their own are never cut. */
export function cutResult(parts: readonly WirePart[], pieceBytes = PIECE_BYTES): WireResult[] {
  const results: WireResult[] = []
  let output: WirePart[] = []
  let room = pieceBytes
  let continues = false
  const flush = (nextContinues: boolean) => {
    results.push({ output, more: true, continues })
    output = []
    room = pieceBytes
    continues = nextContinues
  }
  for (const part of parts) {
    const bytes = contentBytes(part)
    let at = 0
    for (;;) {
      if (room <= PART_OVERHEAD && output.length > 0) flush(at > 0)
      const end = cutAt(bytes, part, at, Math.max(room - PART_OVERHEAD, SMALLEST_PIECE))
      output.push(withContent(part, bytes.subarray(at, end)))
      room -= end - at + PART_OVERHEAD
      at = end
      if (at >= bytes.length) break
      flush(true)
    }
  }
  results.push({ output, more: false, continues })
  return results
}

/** Puts results together again, in the order in which they came; the parts once `more` is false. */
export function createResultJoiner(maxBytes: number): {
  add(result: WireResult): readonly WirePart[] | null
} {
  const parts: { part: WirePart; chunks: Uint8Array[] }[] = []
  let held = 0
  return {
    add(result) {
      result.output.forEach((part, index) => {
        const chunk = contentBytes(part)
        held += chunk.length + PART_OVERHEAD
        if (held > maxBytes)
          throw new MeshError('MESH_LIMIT_SIZE', `the result is larger than ${maxBytes} bytes`, {
            hint: 'raise maxResultBytes of createAgent, or have the skill send artifacts',
          })
        const open = index === 0 && result.continues ? parts.at(-1) : undefined
        if (index === 0 && result.continues && open?.part.content !== part.content)
          throw new MeshError('MESH_PEER_PROTOCOL', 'a piece of the result continues nothing')
        if (open === undefined) parts.push({ part, chunks: [chunk] })
        else open.chunks.push(chunk)
      })
      return result.more
        ? null
        : parts.map(({ part, chunks }) => withContent(part, Buffer.concat(chunks)))
    },
  }
}

/** Text cut into pieces of at most so many bytes of UTF-8, between characters. */
export function cutText(text: string, pieceBytes = PIECE_BYTES): string[] {
  const bytes = Buffer.from(text, 'utf8')
  const pieces: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = characterEnd(bytes, at, pieceBytes)
    pieces.push(bytes.toString('utf8', at, end))
    at = end
  }
  return pieces
}

// what a part may cost besides its content: tags, lengths, media type
const PART_OVERHEAD = 512
const SMALLEST_PIECE = 4

function contentBytes(part: WirePart): Buffer {
  if (part.text !== undefined) return Buffer.from(part.text, 'utf8')
  if (part.json !== undefined) return Buffer.from(part.json, 'utf8')
  if (part.bytes === undefined) return Buffer.alloc(0)
  return Buffer.from(part.bytes.buffer, part.bytes.byteOffset, part.bytes.byteLength)
}

function withContent(part: WirePart, content: Buffer): WirePart {
  if (part.text !== undefined) return { ...part, text: content.toString('utf8') }
  if (part.json !== undefined) return { ...part, json: content.toString('utf8') }
  return part.bytes === undefined ? part : { ...part, bytes: content }
}

function cutAt(bytes: Buffer, part: WirePart, at: number, room: number): number {
  if (part.bytes !== undefined) return Math.min(bytes.length, at + room)
  return characterEnd(bytes, at, room)
}

/** The end of the last whole character that fits; at least one character. */
function characterEnd(bytes: Buffer, at: number, room: number): number {
  let end = Math.min(bytes.length, at + Math.max(room, SMALLEST_PIECE))
  while (end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return end
}
