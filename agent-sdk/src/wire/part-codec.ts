/** Parts to the wire and back. JSON is text on the wire; it is parsed when the part is whole. */
import { MeshError } from '@clawmesh/proto'
import type { Part } from '../model/part.ts'
import type { WirePart } from './messages.ts'

/** @throws TypeError when a JSON part cannot be written as JSON. */
export function encodePart(part: Part): WirePart {
  switch (part.kind) {
    case 'text':
      return { text: part.text.toWellFormed(), media_type: mediaTypeOf(part) }
    case 'json':
      return { json: toJson(part.json) }
    case 'bytes':
      return { bytes: part.bytes, media_type: mediaTypeOf(part) }
    case 'artifact':
      return {
        artifact: {
          ...{ name: part.name.toWellFormed(), delegation_id: part.delegationId },
          sha256: part.sha256,
        },
        media_type: mediaTypeOf(part),
      }
  }
}

/** @throws MeshError MESH_TASK_REQUEST_INVALID when a part is empty or its JSON does not parse. */
export function decodePart(part: WirePart): Part {
  const media = part.media_type ? { mediaType: part.media_type } : {}
  if (part.content === 'text') return { kind: 'text', text: part.text ?? '', ...media }
  if (part.content === 'json') return { kind: 'json', json: fromJson(part.json ?? '') }
  if (part.content === 'bytes')
    return { kind: 'bytes', bytes: part.bytes ?? new Uint8Array(), ...media }
  if (part.content === 'artifact' && part.artifact !== undefined) {
    const { name, delegation_id: delegationId, sha256 } = part.artifact
    return { kind: 'artifact', name, delegationId, sha256, ...media }
  }
  throw new MeshError('MESH_TASK_REQUEST_INVALID', 'a part has no content')
}

function mediaTypeOf({ mediaType = '' }: { readonly mediaType?: string }): string {
  return mediaType.toWellFormed()
}

function toJson(value: unknown): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    throw new TypeError('a JSON part cannot be written as JSON', { cause })
  }
  if (text === undefined) throw new TypeError('a JSON part cannot be written as JSON')
  return text.toWellFormed()
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new MeshError('MESH_TASK_REQUEST_INVALID', 'a JSON part is not JSON', { cause })
  }
}
