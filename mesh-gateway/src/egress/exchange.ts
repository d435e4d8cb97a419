/**
 * One request and its answer over one upstream connection: bodies stream both ways with back-pressure, and both sides are framed anew.
 * Whatever the upstream does, the client gets a whole answer, a refusal, or a reset; never half an answer that looks whole.
 */
import type { ErrorCode } from '@clawmesh/proto'
import type { ExchangeEnd } from './exchange-end.ts'
import { type BodyDecoder, createBodyDecoder } from './http1/body-decoder.ts'
import { findHeadEnd, listOf, MalformedMessage, RESPONSE_LIMITS } from './http1/head.ts'
import type { RequestHead } from './http1/request-head.ts'
import { parseResponseHead, type ResponseHead } from './http1/response-head.ts'
import { writeChunk, writeLastChunk } from './http1/write-chunk.ts'
import { type ResponseMarks, writeResponseHead } from './http1/write-head.ts'
import { type Gate, refuse } from './refused.ts'
import type { Upstream } from './upstream-pool.ts'
import type { Wire } from './wire.ts'

export interface ExchangeOptions {
  readonly client: Wire
  readonly upstream: Upstream
  readonly head: RequestHead
  /** What is sent upstream. */
  readonly requestText: string
  readonly requestId: string
  /** Null: no limit. */
  readonly maxBodyBytes: number | null
  /** Ends it when nothing has moved for so long, in milliseconds. */
  readonly idleMs: number
  /** The client connection may carry another request afterwards. */
  readonly keepAlive: boolean
}

const MAX_INTERIM_ANSWERS = 20
const INTERIM: ResponseMarks = { requestId: '', keepAlive: true, framing: 'as-declared' }
const REPEATABLE: ReadonlySet<string> = Object.freeze(
  new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']),
)

export interface RunningExchange {
  readonly done: Promise<ExchangeEnd>
  /** Ends it now: with an answer if none has begun. */
  end(gate: Gate, code: ErrorCode): void
}

export function exchange(options: ExchangeOptions): RunningExchange {
  const { promise, resolve } = Promise.withResolvers<ExchangeEnd>()
  const running = new Exchange(options, resolve)
  running.start()
  return { done: promise, end: (gate, code) => running.fail(gate, code) }
}

class Exchange {
  readonly #options: ExchangeOptions
  readonly #client: Wire
  readonly #up: Wire
  readonly #resolve: (end: ExchangeEnd) => void
  readonly #idle: NodeJS.Timeout
  #over = false
  #pending: Buffer | null = null
  #interim = 0
  #response: ResponseHead | null = null
  #marks: ResponseMarks | null = null
  /** Of an answer: goes out with the first piece of its body. */
  #unsentHead: string | null = null
  #requestBody: BodyDecoder | null = null
  #responseBody: BodyDecoder | null = null
  #requestDone = false
  #bytesUp = 0
  #bytesDown = 0

  constructor(options: ExchangeOptions, resolve: (end: ExchangeEnd) => void) {
    this.#options = options
    this.#client = options.client
    this.#up = options.upstream.wire
    this.#resolve = resolve
    this.#idle = setTimeout(() => this.#onIdle(), options.idleMs)
  }

  start(): void {
    const { head, requestText } = this.#options
    this.#client.onClosed(() => this.fail('client', 'MESH_CALL_CANCELED'))
    this.#up.onClosed(() => this.#onUpstreamGone())
    if (this.#client.closed) this.fail('client', 'MESH_CALL_CANCELED')
    else if (this.#up.closed) this.#onUpstreamGone()
    if (this.#over) return
    if (head.body === 0) {
      this.#requestDone = true
      this.#up.writeText(requestText)
    } else {
      this.#client.onDrain(null)
      this.#up.onDrain(() => {
        this.#idle.refresh()
        this.#client.resume()
      })
      this.#requestBody = createBodyDecoder(head.body, (data) => this.#sendUp(data))
      this.#up.socket.cork()
      this.#up.writeText(requestText)
      this.#client.read({
        data: (chunk) => this.#onRequestBytes(chunk),
        end: () => this.fail('client', 'MESH_EGRESS_MALFORMED', 'the body is shorter than it says'),
      })
      this.#up.socket.uncork()
    }
    if (this.#over) return
    this.#up.read({
      data: (chunk) => this.#onResponseBytes(chunk),
      end: () => this.#onUpstreamEnd(),
    })
  }

  #onRequestBytes(chunk: Buffer): void {
    const decoder = this.#requestBody
    if (decoder === null) return
    this.#idle.refresh()
    try {
      const taken = decoder.push(chunk)
      if (this.#up.unsent) this.#client.keep()
      if (this.#over || !decoder.done) return
      this.#client.release()
      this.#client.unread(chunk.subarray(taken))
      if (this.#options.head.body === 'chunked') writeLastChunk(this.#up, decoder.trailers)
      this.#requestDone = true
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error
      this.fail('syntax', 'MESH_EGRESS_MALFORMED', error.message)
    }
  }

  #sendUp(data: Buffer): void {
    if (this.#over) return
    this.#bytesUp += data.length
    const max = this.#options.maxBodyBytes
    if (max !== null && this.#bytesUp > max) {
      this.fail('limits', 'MESH_LIMIT_SIZE', `the body is larger than ${max} bytes`)
      return
    }
    const chunked = this.#options.head.body === 'chunked'
    const flowing = chunked ? writeChunk(this.#up, data) : this.#up.write(data)
    if (!flowing) this.#client.pause()
  }

  #onResponseBytes(chunk: Buffer): void {
    this.#idle.refresh()
    try {
      if (this.#responseBody === null) this.#onHeadBytes(chunk)
      else this.#onBodyBytes(chunk)
      if (this.#client.unsent) this.#up.keep()
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error
      this.fail('upstream', 'MESH_EGRESS_UPSTREAM', `of the answer: ${error.message}`)
    }
  }

  #onHeadBytes(chunk: Buffer): void {
    let bytes = this.#pending === null ? chunk : Buffer.concat([this.#pending, chunk])
    while (!this.#over) {
      const end = findHeadEnd(bytes, RESPONSE_LIMITS)
      if (end === -1) {
        this.#pending = bytes
        this.#up.keep()
        return
      }
      const response = parseResponseHead(bytes.subarray(0, end), this.#options.head.method)
      bytes = bytes.subarray(end)
      if (response.status >= 200 || response.status === 101) {
        if (response.status === 101) this.#onSwitch(response, bytes)
        else this.#onFinalHead(response, bytes)
        return
      }
      this.#interim += 1
      if (this.#interim > MAX_INTERIM_ANSWERS)
        throw new MalformedMessage('too many interim answers')
      if (this.#options.head.version === '1.1')
        this.#client.writeText(writeResponseHead(response, INTERIM))
    }
  }

  #onSwitch(response: ResponseHead, rest: Buffer): void {
    if (!this.#options.head.webSocket || !listOf(response.fields, 'upgrade').includes('websocket'))
      throw new MalformedMessage('it switches to a protocol that was not asked for')
    this.#response = response
    this.#client.writeText(writeResponseHead(response, INTERIM))
    this.#up.release()
    this.#up.unread(rest)
    this.#end({ upgraded: true })
  }

  #onFinalHead(response: ResponseHead, rest: Buffer): void {
    if (response.status === 407)
      throw new MalformedMessage('it asks for proxy credentials, which only a proxy may')
    const { head, requestId } = this.#options
    this.#pending = null
    this.#response = response
    const indefinite = typeof response.body !== 'number'
    const framing = !indefinite ? 'as-declared' : head.version === '1.1' ? 'chunked' : 'until-close'
    const keepAlive = this.#options.keepAlive && this.#requestDone && framing !== 'until-close'
    this.#marks = { requestId, keepAlive, framing }
    this.#responseBody = createBodyDecoder(response.body, (data) => this.#sendDown(data))
    const text = writeResponseHead(response, this.#marks)
    if (rest.length === 0 && !this.#responseBody.done) {
      this.#client.writeText(text)
    } else if (framing === 'as-declared' && !this.#responseBody.done) {
      this.#unsentHead = text
      this.#onBodyBytes(rest)
    } else {
      this.#client.socket.cork()
      this.#client.writeText(text)
      this.#onBodyBytes(rest)
      this.#client.socket.uncork()
    }
    if (this.#over) return
    this.#client.onDrain(() => {
      this.#idle.refresh()
      this.#up.resume()
    })
  }

  #onBodyBytes(chunk: Buffer): void {
    const decoder = this.#responseBody
    if (decoder === null) return
    const taken = decoder.push(chunk)
    if (this.#over || !decoder.done) return
    if (this.#marks?.framing === 'chunked') writeLastChunk(this.#client, decoder.trailers)
    this.#finish(taken === chunk.length)
  }

  #sendDown(data: Buffer): void {
    this.#bytesDown += data.length
    if (!this.#writeDown(data)) this.#up.pause()
  }

  #writeDown(data: Buffer): boolean {
    const text = this.#unsentHead
    this.#unsentHead = null
    if (text !== null) return this.#client.writeTextWith(text, data)
    if (this.#marks?.framing === 'chunked') return writeChunk(this.#client, data)
    return this.#client.write(data)
  }

  #onUpstreamEnd(): void {
    if (this.#response?.body === 'until-close') {
      if (this.#marks?.framing === 'chunked') writeLastChunk(this.#client, [])
      this.#finish(false)
      return
    }
    this.#onUpstreamGone()
  }

  #onUpstreamGone(): void {
    const { head, upstream } = this.#options
    const untouched = this.#response === null && this.#pending === null && this.#interim === 0
    if (upstream.reused && untouched && head.body === 0 && REPEATABLE.has(head.method)) {
      this.#end({ stale: true })
      return
    }
    this.fail('upstream', 'MESH_EGRESS_LOST')
  }

  #onIdle(): void {
    const waitsForClient = !this.#requestDone && !this.#client.socket.isPaused()
    if (waitsForClient) this.fail('client', 'MESH_EGRESS_SLOW')
    else this.fail('upstream', 'MESH_EGRESS_TIMEOUT')
  }

  #finish(clean: boolean): void {
    const keep = this.#response?.keepAlive === true && this.#requestDone && clean
    this.#end({ keepAlive: this.#marks?.keepAlive === true, reusable: keep })
  }

  fail(gate: Gate, code: ErrorCode, message?: string): void {
    const options = message === undefined ? {} : { message }
    this.#end({ refused: refuse(gate, code, options) })
  }

  #end(result: Partial<ExchangeEnd>): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#idle)
    for (const wire of [this.#client, this.#up]) {
      wire.release()
      wire.onClosed(null)
      wire.onDrain(null)
    }
    this.#resolve({
      status: this.#response?.status ?? 0,
      refused: null,
      bytesUp: this.#bytesUp,
      bytesDown: this.#bytesDown,
      keepAlive: false,
      stale: false,
      upgraded: false,
      reusable: false,
      ...result,
    })
  }
}
