/**
 * One reflection call on its way: what the caller asks goes through as it is, each answer of the peer is read whole and
 * filtered. A slow caller slows the peer; one answer at a time is held.
 */
import { type ClientHttp2Stream, constants, type ServerHttp2Stream } from 'node:http2'
import { MeshError } from '@clawmesh/proto'
import type { Callable } from '../../policy/decide/callable.ts'
import { MAX_INFORMATIONAL, passHead, passTrailers } from '../carry/pass-response.ts'
import { carriesGrpc, endTrailers } from '../carry/peer-response.ts'
import { pump } from '../carry/pump.ts'
import { errorTrailers } from '../error-trailers.ts'
import { trimmedFields } from '../field-values.ts'
import { refuseCall } from '../respond.ts'
import { filterAnswer } from './filter-answer.ts'
import { createMessageReader, frameMessage } from './read-messages.ts'

export interface FilterStreamOptions {
  /** The caller's side. */
  readonly down: ServerHttp2Stream
  /** The peer's. */
  readonly up: ClientHttp2Stream
  /** Asked for each answer: policy may change while a call lives. */
  readonly callable: () => Callable
  readonly requestId: string
}

/** What clients of gRPC take at most unless they are told otherwise. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024
const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR } = constants
const END_STREAM = 0x1
/** What the caller is told of it, the place that this answer goes to says. */
const OF_A_CALLEE = Object.freeze({ certificate: {}, replica: null })

export function filterStream({ down, up, callable, requestId }: FilterStreamOptions): void {
  // a stream that has ended has lost it
  const { session } = up
  const reader = createMessageReader(MAX_ANSWER_BYTES)
  let trailers: Record<string, string | string[]> = {}
  let answered = false
  let informational = 0

  function fail(cause: unknown): void {
    const error =
      cause instanceof MeshError
        ? cause
        : new MeshError('MESH_GATEWAY_INTERNAL', undefined, { cause })
    answered = true
    up.close(NGHTTP2_CANCEL)
    if (down.headersSent) {
      trailers = errorTrailers(error, requestId)
      down.end()
    } else refuseCall(down, error, requestId)
  }

  // -- the caller's questions
  pump({
    from: down,
    to: up,
    count: () => {},
    end: (last) => {
      if (!up.writable) return
      if (last === null) up.end()
      else up.end(last)
    },
  })
  down.once('close', () => up.close(NGHTTP2_CANCEL))

  // -- the peer's answers
  up.on('headers', () => {
    informational += 1
    if (informational === MAX_INFORMATIONAL)
      fail(new MeshError('MESH_PEER_PROTOCOL', 'the peer sends informational answers without end'))
  })
  up.once('response', (_headers, flags, list?: string[]) => {
    const raw = trimmedFields(list ?? [])
    const answer = raw.filter((_, i, all) => all[i - (i % 2)] !== 'content-length')
    const alone = (flags & END_STREAM) !== 0
    if (!passHead(down, answer, alone, fail)) return
    if (alone) {
      answered = true
      up.resume()
      return
    }
    down.once('wantTrailers', () => passTrailers(down, trailers, requestId))
    // what is not gRPC is not for this place to judge: it is passed on as what it is
    if (carriesGrpc(raw)) up.on('data', onAnswer)
    else up.resume()
  })
  function onAnswer(piece: Buffer): void {
    if (answered) return
    try {
      for (const message of reader.push(piece)) {
        if (!down.writable) return
        if (down.write(frameMessage(filterAnswer(message, callable())))) continue
        up.pause()
        down.once('drain', () => up.resume())
      }
    } catch (cause) {
      fail(cause)
    }
  }
  up.once('trailers', (_headers, _flags, raw?: string[]) => {
    if (answered) return
    const kept = endTrailers(trimmedFields(raw ?? []), OF_A_CALLEE)
    if (kept instanceof MeshError) fail(kept)
    else trailers = kept
  })
  up.once('end', () => {
    if (answered || !down.headersSent) return
    // without trailers it was cut off, and `close` tells how
    if (Object.keys(trailers).length === 0) return
    try {
      reader.end()
      answered = true
      down.end()
    } catch (cause) {
      fail(cause)
    }
  })
  // what an error means, `close` tells; without a listener it would end the process
  up.on('error', () => {})
  down.on('error', () => {})
  up.once('close', () => {
    if (answered || down.closed) return
    if (session === undefined || session.destroyed) fail(new MeshError('MESH_PEER_LOST'))
    else if (up.rstCode !== NGHTTP2_NO_ERROR) down.close(up.rstCode)
    else fail(new MeshError('MESH_PEER_PROTOCOL', 'the peer ended without a grpc-status'))
  })
}
