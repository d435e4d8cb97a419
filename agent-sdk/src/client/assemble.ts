/**
 * Turns what arrives into what is shown: puts the pieces of a result together, verifies artifacts and
 * gathers them, within bounds that the caller sets.
 */
import { createHash, type Hash } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import type { ArtifactPiece, TaskEvent } from '../model/task-event.ts'
import type { IncomingEvent } from '../wire/event-codec.ts'
import { decodePart } from '../wire/part-codec.ts'
import { createResultJoiner } from '../wire/pieces.ts'
import type { Artifact } from './task-result.ts'

export interface Assembler {
  /** The event as the caller sees it; null for what is no event to a caller. @throws MeshError MESH_PEER_PROTOCOL, MESH_LIMIT_SIZE */
  take(event: IncomingEvent): TaskEvent | null
  /** All that are complete. @throws MeshError MESH_LIMIT_SIZE when they were more than may be gathered */
  artifacts(): ReadonlyMap<string, Artifact>
}

interface Open {
  readonly hash: Hash
  readonly chunks: Uint8Array[]
  next: number
}

// what an artifact costs besides its bytes, so that a flood of empty ones meets the bound too
const ARTIFACT_BYTES = 1024

/**
 * @param complete whether events are seen from the first one on; artifacts seen from their middle are not verified
 * @param gather whether the bytes of artifacts are kept for `artifacts()`; they are verified in any case
 */
export function createAssembler(maxBytes: number, complete: boolean, gather = true): Assembler {
  const joiner = createResultJoiner(maxBytes)
  const open = new Map<string, Open>()
  const whole = new Map<string, Artifact>()
  const streamed = new Set<string>()
  let held = 0

  const takeArtifact = (piece: ArtifactPiece) => {
    const seen = open.has(piece.name) || whole.has(piece.name) || streamed.has(piece.name)
    if (piece.index === 0 && !seen) {
      held += ARTIFACT_BYTES
      if (held <= maxBytes)
        open.set(piece.name, { hash: createHash('sha256'), chunks: [], next: 0 })
    }
    const artifact = open.get(piece.name)
    if (artifact === undefined) {
      if (complete && held <= maxBytes) throw broken('a chunk of an artifact comes from nowhere')
      return
    }
    if (piece.index !== artifact.next) throw broken('a chunk of an artifact is missing')
    artifact.next += 1
    artifact.hash.update(piece.data)
    if (gather) held += piece.data.length
    if (gather && held <= maxBytes) artifact.chunks.push(piece.data)
    if (!piece.last) return
    open.delete(piece.name)
    const sha256 = artifact.hash.digest('hex')
    if (sha256 !== piece.sha256) throw broken('an artifact does not match its sha256')
    const { name, mediaType } = piece
    if (held > maxBytes) return
    if (!gather) {
      streamed.add(name)
      return
    }
    whole.set(name, { name, mediaType, bytes: Buffer.concat(artifact.chunks), sha256 })
  }

  return {
    take({ id, seq, time, body }) {
      const head = { id, seq, time }
      switch (body.kind) {
        case 'heartbeat':
        case 'unknown':
          return null
        case 'result': {
          const parts = joiner.add(body.piece)
          if (parts === null) return null
          return { ...head, kind: 'result', output: parts.map(decodePart) }
        }
        case 'artifact':
          takeArtifact(body)
          return { ...head, ...body }
        default:
          return { ...head, ...body }
      }
    },
    artifacts() {
      if (held > maxBytes)
        throw new MeshError('MESH_LIMIT_SIZE', `the artifacts are larger than ${maxBytes} bytes`, {
          hint: 'raise maxResultBytes of createAgent, or take them from the events',
        })
      return whole
    },
  }
}

function broken(message: string): MeshError {
  return new MeshError('MESH_PEER_PROTOCOL', message)
}
