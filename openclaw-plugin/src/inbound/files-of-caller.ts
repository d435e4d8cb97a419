/**
 * Files that a caller sends with its request. Text is shown to the model as text, images as images; of all else it is told that it
 * is there. Nothing of it is written to a disk.
 */
import type { Part } from '@clawmesh/agent-sdk'
import type { HostImage } from '../host/openclaw-types.ts'

type Bytes = Extract<Part, { kind: 'bytes' }>

/** What models take. */
const IMAGES: ReadonlyMap<string, readonly number[]> = new Map([
  ['image/png', [0x89, 0x50, 0x4e, 0x47]],
  ['image/jpeg', [0xff, 0xd8, 0xff]],
  ['image/gif', [0x47, 0x49, 0x46, 0x38]],
  ['image/webp', [0x52, 0x49, 0x46, 0x46]],
])
const MAX_IMAGES = 20
const TEXTUAL =
  /^(?:text\/[\w.+-]+|application\/(?:[\w.+-]*(?:json|xml|yaml|javascript|csv|toml)|x-sh|sql))$/i

/** The images of a request, in their order. */
export function imagesOf(parts: readonly Part[]): readonly HostImage[] {
  return parts
    .filter((part) => part.kind === 'bytes')
    .filter(isImage)
    .slice(0, MAX_IMAGES)
    .map(({ bytes, mediaType }) => ({
      type: 'image',
      data: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'),
      mimeType: typeOf(mediaType),
    }))
}

/** How a file stands in the prompt. */
export function fileInWords(part: Bytes): string {
  const about = `${part.bytes.length} bytes of ${typeOf(part.mediaType) || 'binary data'}`
  if (isImage(part)) return `(an image, ${about})`
  const text = textOf(part)
  return text === null
    ? `(${about}, which are not shown)`
    : `(a file, ${about}:)\n${text}\n(end of the file)`
}

/** By its type and its first bytes: a model provider refuses a whole turn for one that is none. */
function isImage({ mediaType, bytes }: Bytes): boolean {
  const begins = IMAGES.get(typeOf(mediaType))
  return begins?.every((byte, at) => bytes[at] === byte) === true
}

/** Null for what is no text. */
function textOf({ mediaType, bytes }: Bytes): string | null {
  if (!TEXTUAL.test(typeOf(mediaType)) || bytes.includes(0)) return null
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    // its type says more than it holds
    return null
  }
}

/** Without parameters. */
function typeOf(mediaType: string | undefined): string {
  return (mediaType ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
}
