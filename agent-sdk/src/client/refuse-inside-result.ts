/**
 * A result larger than a message comes as several events. Only the SDK's own resuming begins between two of them. A
 * caller that names such a place as a cursor itself would get the rest of a result and take it for the whole.
 */
import { MeshError } from '@clawmesh/proto'
import type { IncomingEvent } from '../wire/event-codec.ts'

/**
 * @param before the same events, from the one on that the cursor names
 * @throws MeshError MESH_TASK_CURSOR_INVALID
 */
export async function* refuseInsideResult(
  events: AsyncIterable<IncomingEvent>,
  before: () => AsyncIterable<IncomingEvent>,
): AsyncGenerator<IncomingEvent, void, void> {
  let first = true
  for await (const event of events) {
    if (first && event.body.kind === 'result' && event.seq > 1 && (await isPiece(before())))
      throw new MeshError('MESH_TASK_CURSOR_INVALID', 'the cursor is inside the result', {
        hint: 'watch after the seq of an event that was received',
      })
    first = false
    yield event
  }
}

async function isPiece(events: AsyncIterable<IncomingEvent>): Promise<boolean> {
  for await (const { body } of events) return body.kind === 'result' && body.piece.more
  return false
}
