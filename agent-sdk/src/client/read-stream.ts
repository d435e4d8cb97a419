/**
 * The events of one stream. Silence for too long ends it, and so does leaving it early. After the last event of the task
 * the call has succeeded: it is read to its trailers, so that neither side takes it for one that was cancelled.
 */
import { MeshError } from '@clawmesh/proto'
import type { ClientReadableStream } from '@grpc/grpc-js'
import { decodeEvent, type IncomingEvent } from '../wire/event-codec.ts'
import type { WireEvent } from '../wire/messages.ts'

export interface ReadOptions {
  /** A stream that is silent for so long, in milliseconds, is taken for lost. */
  readonly idleMs: number
  /** Aborting cancels the call, until the last event has come. */
  readonly signal: AbortSignal
}

/** How long the trailers may follow the last event, in milliseconds. A callee sends both at once. */
const TRAILERS_MS = 500

/** @throws the status of the stream, MeshError MESH_PEER_LOST when it is silent, and the reason of the signal */
export async function* readStream(
  stream: ClientReadableStream<WireEvent>,
  { idleMs, signal }: ReadOptions,
): AsyncGenerator<IncomingEvent, void, void> {
  // after a cancel grpc-js emits an error that nobody waits for any more
  stream.on('error', () => {})
  const cancel = () => stream.cancel()
  let silent = false
  let whole = false
  const giveUp = () => {
    silent = true
    cancel()
  }
  let timer = setTimeout(giveUp, idleMs).unref()
  if (signal.aborted) cancel()
  else signal.addEventListener('abort', cancel, { once: true })
  try {
    for await (const message of stream.iterator({ destroyOnReturn: false })) {
      // what comes after the end is not looked at, and gives the trailers no more time
      if (whole) continue
      clearTimeout(timer)
      const event = decodeEvent(message)
      whole = endsTask(event)
      // a caller that has its result may be closed at once: that cancels nothing any more
      if (whole) signal.removeEventListener('abort', cancel)
      if (whole) timer = setTimeout(cancel, TRAILERS_MS).unref()
      yield event
      // the clock runs while the peer is waited for, not while the reader thinks
      if (!whole) timer = setTimeout(giveUp, idleMs).unref()
    }
  } catch (error) {
    if (whole) return
    signal.throwIfAborted()
    throw silent ? new MeshError('MESH_PEER_LOST', 'the peer has gone silent') : error
  } finally {
    signal.removeEventListener('abort', cancel)
    if (whole) stream.once('status', () => clearTimeout(timer)).resume()
    else {
      clearTimeout(timer)
      cancel()
    }
  }
}

export function endsTask({ body }: IncomingEvent): boolean {
  return body.kind === 'failed' || (body.kind === 'result' && !body.piece.more)
}
