/**
 * Sends a file in chunks, each on disk before the next is made. One that was begun before the agent was restarted is
 * continued where it stopped, if it is made of the same bytes.
 */
import { createHash } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import { PIECE_BYTES } from '../wire/pieces.ts'
import type { SentArtifact } from './history.ts'
import type { LiveTask } from './live-task.ts'

export type ArtifactData = Uint8Array | string | AsyncIterable<Uint8Array>

export interface ArtifactHead {
  readonly name: string
  readonly mediaType: string
}

/** @throws MeshError MESH_TASK_ARTIFACT_CHANGED; TypeError for chunks that are no bytes */
export async function sendArtifact(
  live: LiveTask,
  { name, mediaType }: ArtifactHead,
  data: ArtifactData,
  sent: SentArtifact | undefined,
): Promise<{ readonly name: string; readonly sha256: string; readonly bytes: number }> {
  const { signal } = live
  const hash = createHash('sha256')
  const skip = sent?.bytes ?? 0
  let index = sent?.next ?? 0
  let bytes = 0
  // one piece is held back, since only the last one carries the hash
  let held: Uint8Array = new Uint8Array()
  const checkSame = () => {
    if (sent !== undefined && bytes === skip && hash.copy().digest('hex') !== sent.sha256)
      throw new MeshError('MESH_TASK_ARTIFACT_CHANGED')
  }
  for await (const chunk of piecesOf(data, skip)) {
    signal.throwIfAborted()
    hash.update(chunk)
    bytes += chunk.length
    checkSame()
    if (bytes <= skip) continue
    if (sent?.whole === true) throw new MeshError('MESH_TASK_ARTIFACT_CHANGED')
    if (held.length > 0) {
      const piece = { name, mediaType, index, data: held, last: false, sha256: null }
      live.emit({ kind: 'artifact', ...piece })
      index += 1
      await live.settled()
    }
    // copied: the skill may reuse its buffer
    held = Uint8Array.from(chunk)
  }
  signal.throwIfAborted()
  const sha256 = hash.digest('hex')
  if (bytes < skip || (sent?.whole === true && sent.sha256 !== sha256))
    throw new MeshError('MESH_TASK_ARTIFACT_CHANGED')
  if (sent?.whole !== true)
    live.emit({ kind: 'artifact', name, mediaType, index, data: held, last: true, sha256 })
  await live.settled()
  return Object.freeze({ name, sha256, bytes })
}

/** Pieces of at most PIECE_BYTES, one of which ends after `boundary` bytes. */
async function* piecesOf(data: ArtifactData, boundary: number): AsyncGenerator<Uint8Array> {
  const source = typeof data === 'string' ? Buffer.from(data.toWellFormed()) : data
  let at = 0
  for await (const chunk of source instanceof Uint8Array ? [source] : source) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('artifact: a chunk is not a Uint8Array')
    for (let from = 0; from < chunk.length; ) {
      const room = at < boundary ? Math.min(PIECE_BYTES, boundary - at) : PIECE_BYTES
      const piece = chunk.subarray(from, from + room)
      yield piece
      from += piece.length
      at += piece.length
    }
  }
}
