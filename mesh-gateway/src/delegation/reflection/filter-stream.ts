/**
 * Forwards one reflection call: requests go through unchanged, each answer of the peer is read whole and filtered. A
 * slow caller slows the peer (back-pressure); one answer at a time is buffered.
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
  /** Called for each answer: policy may change during a call. */
  readonly callable: () => Callable
  readonly requestId: string
}

/** The default maximum of gRPC clients. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024
const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR } = constants
const END_STREAM = 0x1
/** `forward` sets the headers for the caller; here the answer only counts as a callee's. */
const OF_A_CALLEE = Object.freeze({ certificate: {}, replica: null })

export function filterStream(options: FilterStreamOptions): void {
  new FilteredStream(options).start()
}

class FilteredStream {
  readonly #down: ServerHttp2Stream
  readonly #up: ClientHttp2Stream
  readonly #callable: () => Callable
  readonly #requestId: string
  /** The peer's. A stream that has ended has lost it. */
  readonly #session: ClientHttp2Stream['session']
  readonly #reader = createMessageReader(MAX_ANSWER_BYTES)
  #trailers: Record<string, string | string[]> = {}
  #answered = false
  #informational = 0

  constructor({ down, up, callable, requestId }: FilterStreamOptions) {
    this.#down = down
    this.#up = up
    this.#callable = callable
    this.#requestId = requestId
    this.#session = up.session
  }

  start(): void {
    const [down, up] = [this.#down, this.#up]
    pump({ from: down, to: up, count: () => {}, end: (last) => this.#endQuestions(last) })
    down.once('close', () => up.close(NGHTTP2_CANCEL))
    up.on('headers', () => this.#onInformational())
    up.once('response', (_headers, flags, list: string[]) => this.#onHead(flags, list))
    up.once('trailers', (_headers, _flags, raw: string[]) => this.#onTrailers(raw))
    up.once('end', () => this.#onEnd())
    // `close` follows and carries the reason; an `error` event without a listener would end the process
    up.on('error', () => {})
    down.on('error', () => {})
    up.once('close', () => this.#onClose())
  }

  #fail(cause: unknown): void {
    const [down, requestId] = [this.#down, this.#requestId]
    const error =
      cause instanceof MeshError
        ? cause
        : new MeshError('MESH_GATEWAY_INTERNAL', undefined, { cause })
    this.#answered = true
    this.#up.close(NGHTTP2_CANCEL)
    if (down.headersSent) {
      this.#trailers = errorTrailers(error, requestId)
      down.end()
    } else refuseCall(down, error, requestId)
  }

  #endQuestions(last: Buffer | null): void {
    const up = this.#up
    if (!up.writable) return
    if (last === null) up.end()
    else up.end(last)
  }

  #onInformational(): void {
    this.#informational += 1
    if (this.#informational !== MAX_INFORMATIONAL) return
    const message = 'the peer sends informational answers without end'
    this.#fail(new MeshError('MESH_PEER_PROTOCOL', message))
  }

  #onHead(flags: number, list: readonly string[]): void {
    const [down, up] = [this.#down, this.#up]
    const raw = trimmedFields(list)
    const answer = raw.filter((_, i, all) => all[i - (i % 2)] !== 'content-length')
    const alone = (flags & END_STREAM) !== 0
    if (down.destroyed || down.closed) return
    const fault = passHead(down, answer, alone)
    if (fault !== null) {
      this.#fail(fault)
      return
    }
    if (alone) {
      this.#answered = true
      up.resume()
      return
    }
    down.once('wantTrailers', () => passTrailers(down, this.#trailers, this.#requestId))
    // an answer that is not gRPC is forwarded unchanged: `forward` judges it
    if (carriesGrpc(raw)) up.on('data', (piece: Buffer) => this.#onAnswer(piece))
    else up.resume()
  }

  #onAnswer(piece: Buffer): void {
    if (this.#answered) return
    const down = this.#down
    const up = this.#up
    try {
      for (const message of this.#reader.push(piece)) {
        if (!down.writable) return
        if (down.write(frameMessage(filterAnswer(message, this.#callable())))) continue
        up.pause()
        down.once('drain', () => up.resume())
      }
    } catch (cause) {
      this.#fail(cause)
    }
  }

  #onTrailers(raw: readonly string[]): void {
    if (this.#answered) return
    const kept = endTrailers(trimmedFields(raw), OF_A_CALLEE)
    if (kept instanceof MeshError) this.#fail(kept)
    else this.#trailers = kept
  }

  #onEnd(): void {
    if (this.#answered || !this.#down.headersSent) return
    // without trailers the answer was cut off; `close` carries the reason
    if (Object.keys(this.#trailers).length === 0) return
    try {
      this.#reader.end()
      this.#answered = true
      this.#down.end()
    } catch (cause) {
      this.#fail(cause)
    }
  }

  #onClose(): void {
    const [down, up, session] = [this.#down, this.#up, this.#session]
    if (this.#answered || down.closed) return
    if (session === undefined || session.destroyed) this.#fail(new MeshError('MESH_PEER_LOST'))
    else if (up.rstCode !== NGHTTP2_NO_ERROR) down.close(up.rstCode)
    else this.#fail(new MeshError('MESH_PEER_PROTOCOL', 'the peer ended without a grpc-status'))
  }
}
