/**
 * Follows a task to its end over any number of streams: the first one is Delegate or Watch, each further one
 * Watch after the last event seen. Every event comes out once, in order, without gaps.
 */

import { isUuidV7, MeshError } from '@clawmesh/proto'
import type { ClientReadableStream } from '@grpc/grpc-js'
import type { Log } from '../log.ts'
import type { IncomingEvent } from '../wire/event-codec.ts'
import type { WireEvent } from '../wire/messages.ts'
import { createBackoff } from './backoff.ts'
import type { FirstContact } from './first-contact.ts'
import { isCut, judgeStreamError } from './lost-stream.ts'
import { endsTask, readStream } from './read-stream.ts'

export interface FollowOptions {
  /** Null when only watching. Safe to repeat until something was received: the callee attaches by the id. */
  readonly delegate: (() => ClientReadableStream<WireEvent>) | null
  readonly watch: (id: string, afterSeq: number) => ClientReadableStream<WireEvent>
  readonly id: string
  readonly afterSeq: number
  readonly signal: AbortSignal
  /** A stream that is silent for so long, in milliseconds, is taken for lost. */
  readonly idleMs: number
  /** How long a task that runs is looked for after its stream broke, in milliseconds. */
  readonly giveUpMs: number
  /** The same before anything was received. */
  readonly startGiveUpMs: number
  /** The same of a gateway that was never reached; undefined: `startGiveUpMs`, and what the first contact allows. */
  readonly connectGiveUpMs?: number | undefined
  readonly contact: Pick<FirstContact, 'begin'>
  /** Why a connection was refused lately, where grpc-js passes on words only. */
  readonly refusal: () => MeshError | null
  readonly log: Log
}

// a callee that repeats a gap is broken, not unlucky
const MAX_GAPS = 5

/** @throws MeshError when the call was refused, the task is not known, or giving up */
export async function* follow(options: FollowOptions): AsyncGenerator<IncomingEvent, void, void> {
  const { delegate, watch, giveUpMs, startGiveUpMs, connectGiveUpMs = startGiveUpMs, log } = options
  const { signal, unreached, end } = options.contact.begin(options.signal)
  const backoff = createBackoff()
  let { id } = options
  let last = options.afterSeq
  let started = delegate === null
  let gaps = 0
  let over = false
  let downSince: number | null = null
  /** The gateway ended a stream and said that Watch may go on: then a refusal that is not final may pass as well. */
  let cut = false

  try {
    for (;;) {
      signal.throwIfAborted()
      const stream = started || delegate === null ? watch(id, last) : delegate()
      let failure: unknown = new MeshError('MESH_PEER_LOST', 'the stream ended before the task')
      try {
        for await (const event of readStream(stream, { idleMs: options.idleMs, signal })) {
          downSince = null
          cut = false
          backoff.reset()
          // a key that was used before attaches to the task that it began
          if (!started && event.id !== id) id = taskIdOf(event)
          started = true
          if (event.id !== id) throw new MeshError('MESH_PEER_PROTOCOL', 'an event of another task')
          if (event.seq === 0 || event.seq <= last) continue
          if (event.seq > last + 1) {
            gaps += 1
            if (gaps > MAX_GAPS)
              throw new MeshError('MESH_PEER_PROTOCOL', 'events are missing from the stream')
            failure = new MeshError('MESH_PEER_LOST', 'an event is missing')
            break
          }
          last = event.seq
          gaps = 0
          over = endsTask(event)
          yield event
        }
      } catch (thrown) {
        signal.throwIfAborted()
        failure = thrown
      }
      if (over) return
      const judged = judgeStreamError(failure, started, cut)
      cut ||= isCut(judged.error)
      const refusal = judged.error.code === 'MESH_GATEWAY_UNREACHABLE' ? options.refusal() : null
      if (refusal !== null && !started) throw refusal
      if (!judged.lost) throw judged.error
      downSince ??= performance.now()
      const begunMs = unreached() ? connectGiveUpMs : startGiveUpMs
      if (performance.now() - downSince >= (started ? giveUpMs : begunMs))
        throw refusal ?? judged.error
      const { code, message: reason } = judged.error
      const fields = { delegation_id: id, after_seq: last, code, reason }
      log.warn(
        fields,
        started
          ? 'the stream of a task broke; resuming'
          : 'the call did not get through; trying again',
      )
      await pause(judged.error.retryAfterMs)
    }
  } finally {
    end()
  }

  async function pause(atLeastMs: number | undefined): Promise<void> {
    try {
      await backoff.wait(signal, Math.min(atLeastMs ?? 0, giveUpMs))
    } catch (aborted) {
      signal.throwIfAborted()
      throw aborted
    }
  }
}

/** The id is the peer's to choose, and becomes part of paths and of what models read. @throws MeshError MESH_PEER_PROTOCOL */
function taskIdOf({ id }: IncomingEvent): string {
  if (!isUuidV7(id)) throw new MeshError('MESH_PEER_PROTOCOL', 'the id of the task is no UUIDv7')
  return id
}
