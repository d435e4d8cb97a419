/**
 * Carries one request and its answer over one upstream connection: bodies stream both ways with back-pressure, and both
 * are framed anew. Whatever the upstream does, the client gets a whole answer, a refusal, or a reset; never a partial
 * answer that looks whole.
 */
import type { ErrorCode } from '@clawmesh/proto'
import { type BodyDecoder, createBodyDecoder } from '../http1/body-decoder.ts'
import { MalformedMessage } from '../http1/head.ts'
import type { RequestHead } from '../http1/request-head.ts'
import { writeChunk, writeLastChunk } from '../http1/write-chunk.ts'
import { type Gate, refuse } from '../refused.ts'
import type { Upstream } from '../upstream/idle-connections.ts'
import type { BufferedSocket } from './buffered-socket.ts'
import type { ExchangeEnd } from './exchange-end.ts'
import { type ResponseDriver, ResponseRelay } from './response-relay.ts'
import { type SilenceLimits, SilenceTimer } from './silence.ts'

export interface ExchangeOptions {
  readonly client: BufferedSocket
  readonly upstream: Upstream
  readonly head: RequestHead
  /** The request head to send upstream. */
  readonly requestText: string
  readonly requestId: string
  /** Null: no limit. */
  readonly maxBodyBytes: number | null
  readonly silence: SilenceLimits
  /** How long the client's connection is kept afterwards, in milliseconds; null: it is closed. */
  readonly keptMs: number | null
}

const REPEATABLE: ReadonlySet<string> = Object.freeze(
  new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']),
)

/** True when the request may be retried after its connection was lost: it is idempotent, and has no body. */
export function isRepeatable({ method, body }: RequestHead): boolean {
  return body === 0 && REPEATABLE.has(method)
}

export interface RunningExchange {
  readonly done: Promise<ExchangeEnd>
  /** Ends it now: with an answer, if none has begun. */
  end(gate: Gate, code: ErrorCode): void
}

export function exchange(options: ExchangeOptions): RunningExchange {
  const { promise, resolve } = Promise.withResolvers<ExchangeEnd>()
  const running = new Exchange(options, resolve)
  running.start()
  return { done: promise, end: (gate, code) => running.fail(gate, code) }
}

class Exchange implements ResponseDriver {
  readonly #options: ExchangeOptions
  readonly #client: BufferedSocket
  readonly #up: BufferedSocket
  readonly #resolve: (end: ExchangeEnd) => void
  readonly #silence: SilenceTimer
  #over = false
  readonly #response: ResponseRelay
  #requestBody: BodyDecoder | null = null
  #requestDone = false
  #bytesUp = 0

  constructor(options: ExchangeOptions, resolve: (end: ExchangeEnd) => void) {
    this.#options = options
    this.#client = options.client
    this.#up = options.upstream.socket
    this.#resolve = resolve
    this.#response = new ResponseRelay(options, this)
    this.#silence = new SilenceTimer(
      options.silence,
      () => this.#requestDone && this.#response.status === 0,
      () => this.#onSilent(),
    )
  }

  get requestDone(): boolean {
    return this.#requestDone
  }

  /** The client has taken the written part of the answer. */
  onDrain(): void {
    this.#silence.refresh()
    this.#up.resume()
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
        this.#silence.refresh()
        this.#client.resume()
      })
      this.#requestBody = createBodyDecoder(head.body, (data) => this.#sendUp(data))
      this.#up.raw.cork()
      this.#up.writeText(requestText)
      this.#client.read({
        data: (chunk) => this.#onRequestBytes(chunk),
        end: () => this.fail('client', 'MESH_EGRESS_MALFORMED', 'the body is shorter than it says'),
      })
      this.#up.raw.uncork()
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
    this.#silence.refresh()
    try {
      const taken = decoder.push(chunk)
      if (this.#up.unsent) this.#client.keep()
      if (!this.#over && this.#beyondLimit(this.#bytesUp + decoder.extraBytes)) return
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
    if (this.#beyondLimit(this.#bytesUp)) return
    const chunked = this.#options.head.body === 'chunked'
    const flowing = chunked ? writeChunk(this.#up, data) : this.#up.write(data)
    if (!flowing) this.#client.pause()
  }

  /** Framing and trailers count too: a client can send them without end. */
  #beyondLimit(bytes: number): boolean {
    const max = this.#options.maxBodyBytes
    if (max === null || bytes <= max) return false
    this.fail('limits', 'MESH_LIMIT_SIZE', `the body is larger than ${max} bytes`)
    return true
  }

  #onResponseBytes(chunk: Buffer): void {
    this.#silence.refresh()
    try {
      const progress = this.#response.push(chunk)
      if (progress === 'upgraded') this.#end({ upgraded: true })
      else if (progress !== 'more') this.#finish(progress === 'whole')
      if (this.#client.unsent) this.#up.keep()
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error
      this.fail('upstream', 'MESH_EGRESS_UPSTREAM', `of the answer: ${error.message}`)
    }
  }

  #onUpstreamEnd(): void {
    if (this.#response.end()) this.#finish(false)
    else this.#onUpstreamGone()
  }

  #onUpstreamGone(): void {
    const { head, upstream } = this.#options
    if (upstream.reused && this.#response.untouched && isRepeatable(head)) {
      this.#end({ stale: true })
      return
    }
    this.fail('upstream', 'MESH_EGRESS_LOST')
  }

  #onSilent(): void {
    const waitsForClient = !this.#requestDone && !this.#client.raw.isPaused()
    if (waitsForClient) this.fail('client', 'MESH_EGRESS_SLOW')
    else this.fail('upstream', 'MESH_EGRESS_TIMEOUT')
  }

  #finish(clean: boolean): void {
    const { keepsClient, keepsUpstream } = this.#response
    const reusable = keepsUpstream && this.#requestDone && clean
    const keepAliveMs = reusable ? this.#response.keepAliveMs : null
    this.#end({ keepAlive: keepsClient, reusable, keepAliveMs })
  }

  fail(gate: Gate, code: ErrorCode, message?: string): void {
    const options = message === undefined ? {} : { message }
    this.#end({ refused: refuse(gate, code, options) })
  }

  #end(result: Partial<ExchangeEnd>): void {
    if (this.#over) return
    this.#over = true
    this.#silence.stop()
    for (const socket of [this.#client, this.#up]) {
      socket.release()
      socket.onClosed(null)
      socket.onDrain(null)
    }
    this.#resolve({
      status: this.#response.status,
      refused: null,
      bytesUp: this.#bytesUp,
      bytesDown: this.#response.bytesDown,
      keepAlive: false,
      stale: false,
      upgraded: false,
      reusable: false,
      keepAliveMs: null,
      ...result,
    })
  }
}
