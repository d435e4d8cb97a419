/** Events to the wire and back. What a peer sends is judged here, once. */
import { fromTimestamp, isErrorCode, MeshError, toTimestamp } from '@clawmesh/proto'
import type { EventBody, EventHead, Failure } from '../model/task-event.ts'
import { messages, type WireEvent, type WireFailed, type WireResult } from './messages.ts'
import { decodePart, encodePart } from './part-codec.ts'
import { plainText } from './peer-words.ts'
import { decodeFailedState, decodeState, encodeState } from './state-codec.ts'

/** Bodies as the callee writes them; a result comes in pieces already cut. */
export type OutgoingBody =
  | Exclude<EventBody, { kind: 'result' }>
  | { readonly kind: 'result'; readonly piece: WireResult }

/** Bodies as they arrive: the caller puts result pieces together. */
export type IncomingBody =
  | OutgoingBody
  | { readonly kind: 'heartbeat' }
  /** Of a kind that a newer peer knows and we do not: it counts, and says nothing. */
  | { readonly kind: 'unknown' }

export type IncomingEvent = EventHead & { readonly body: IncomingBody }

export function encodeEvent(head: EventHead, body: OutgoingBody): Buffer {
  return messages.event.serialize({
    delegation_id: head.id,
    seq: head.seq,
    time: toTimestamp(head.time),
    ...encodeBody(body),
  })
}

export function encodeHeartbeat(id: string, time: Date): Buffer {
  const head = { delegation_id: id, seq: 0, time: toTimestamp(time) }
  return messages.event.serialize({ ...head, heartbeat: {} })
}

/** @throws MeshError MESH_PEER_PROTOCOL when the event contradicts itself. */
export function decodeEvent(event: WireEvent): IncomingEvent {
  const body = decodeBody(event)
  if (!Number.isSafeInteger(event.seq) || (event.seq === 0) !== (body.kind === 'heartbeat'))
    throw new MeshError('MESH_PEER_PROTOCOL', 'an event carries an impossible sequence number')
  const time = fromTimestamp(event.time) ?? new Date(0)
  return { id: event.delegation_id, seq: event.seq, time, body }
}

export function encodeFailure(failure: Failure): WireFailed {
  return {
    state: encodeState(failure.state),
    code: failure.code,
    message: failure.message.toWellFormed(),
    hint: (failure.hint ?? '').toWellFormed(),
    retryable: failure.retryable,
  }
}

export function decodeFailure(failed: WireFailed): Failure {
  return {
    state: decodeFailedState(failed.state),
    code: failed.code,
    message: failed.message,
    ...(failed.hint === '' ? {} : { hint: failed.hint }),
    retryable: failed.retryable,
  }
}

/**
 * What result() throws: how the task ended, in the peer's words. A code of the peer's own travels as fact `code` of
 * MESH_TASK_FAILED. The hint is of our own table; what the peer advises is fact `peer_hint`. All of it is one bounded line each:
 * it ends in logs and on terminals. The event of the failure has the words as they came.
 */
export function failureToError(failure: Failure): MeshError {
  const known = isErrorCode(failure.code)
  const facts = {
    state: failure.state,
    said_by: 'peer',
    ...(failure.hint === undefined ? {} : { peer_hint: plainText(failure.hint) }),
    ...(known ? {} : { code: plainText(failure.code) }),
  }
  const code = isErrorCode(failure.code) ? failure.code : 'MESH_TASK_FAILED'
  return new MeshError(code, plainText(failure.message) || undefined, { facts })
}

function encodeBody(body: OutgoingBody): Omit<WireEvent, 'delegation_id' | 'seq' | 'time'> {
  switch (body.kind) {
    case 'accepted':
      return { accepted: { skill: body.skill, retention_ms: body.retentionMs } }
    case 'status':
      return { status: { state: encodeState(body.state), note: body.note.toWellFormed() } }
    case 'progress':
      return { progress: { fraction: body.fraction, note: body.note.toWellFormed() } }
    case 'message':
      return { message_delta: { text: body.text.toWellFormed() } }
    case 'artifact':
      return {
        artifact_chunk: {
          name: body.name.toWellFormed(),
          media_type: body.mediaType.toWellFormed(),
          index: body.index,
          data: body.data,
          last: body.last,
          sha256: body.sha256 ?? '',
        },
      }
    case 'input-required':
      return {
        input_required: { input_id: body.inputId, question: body.question.map(encodePart) },
      }
    case 'input-received':
      return {
        input_received: { input_id: body.inputId, answer: body.answer.map(encodePart) },
      }
    case 'usage':
      return { usage: { amounts: { ...body.amounts } } }
    case 'result':
      return { result: body.piece }
    case 'failed':
      return { failed: encodeFailure(body) }
  }
}

function decodeBody(event: WireEvent): IncomingBody {
  if (event.heartbeat !== undefined) return { kind: 'heartbeat' }
  if (event.accepted !== undefined) {
    const { skill, retention_ms: retentionMs } = event.accepted
    return { kind: 'accepted', skill, retentionMs }
  }
  if (event.status !== undefined)
    return { kind: 'status', state: decodeState(event.status.state), note: event.status.note }
  if (event.progress !== undefined) {
    const { fraction, note } = event.progress
    return { kind: 'progress', fraction: clamp(fraction), note }
  }
  if (event.message_delta !== undefined) return { kind: 'message', text: event.message_delta.text }
  if (event.artifact_chunk !== undefined) {
    const { name, media_type: mediaType, index, data, last, sha256 } = event.artifact_chunk
    return { kind: 'artifact', name, mediaType, index, data, last, sha256: last ? sha256 : null }
  }
  if (event.input_required !== undefined) {
    const { input_id: inputId, question } = event.input_required
    return { kind: 'input-required', inputId, question: question.map(decodePart) }
  }
  if (event.input_received !== undefined) {
    const { input_id: inputId, answer } = event.input_received
    return { kind: 'input-received', inputId, answer: answer.map(decodePart) }
  }
  if (event.usage !== undefined)
    return { kind: 'usage', amounts: Object.fromEntries(Object.entries(event.usage.amounts)) }
  if (event.result !== undefined) return { kind: 'result', piece: event.result }
  if (event.failed !== undefined) return { kind: 'failed', ...decodeFailure(event.failed) }
  return { kind: 'unknown' }
}

function clamp(fraction: number): number {
  return Number.isFinite(fraction) ? Math.min(1, Math.max(0, fraction)) : 0
}
