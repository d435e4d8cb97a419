/**
 * Relays an answer from the destination to the client: interim answers, the head, then the body, framed anew. One
 * object per answer; its driver decides how to treat a failure.
 */
import { type BodyDecoder, createBodyDecoder } from '../http1/body-decoder.ts'
import { findHeadEnd, MalformedMessage, RESPONSE_LIMITS } from '../http1/head.ts'
import type { RequestHead } from '../http1/request-head.ts'
import { parseResponseHead, type ResponseHead } from '../http1/response-head.ts'
import { switchFault } from '../http1/websocket.ts'
import { writeChunk, writeLastChunk } from '../http1/write-chunk.ts'
import { type ResponseMarks, writeResponseHead } from '../http1/write-head.ts'
import type { BufferedSocket } from './buffered-socket.ts'

export interface ResponseRelayOptions {
  readonly client: BufferedSocket
  readonly upstream: { readonly socket: BufferedSocket }
  readonly head: RequestHead
  readonly requestId: string
  /** How long the client's connection is kept afterwards, in milliseconds; null: it is closed. As known before the answer. */
  readonly keptMs: number | null
}

/** The exchange to which the answer belongs. */
export interface ResponseDriver {
  /** The whole request has been sent upstream. */
  readonly requestDone: boolean
  /** Called when the client has taken the written data. */
  onDrain(): void
}

/** `whole`: the answer ends with the chunk; `beyond`: it ends before the end of the chunk. */
export type ResponseProgress = 'more' | 'upgraded' | 'whole' | 'beyond'

const MAX_INTERIM_ANSWERS = 20
const INTERIM: ResponseMarks = { requestId: '', keptMs: null, framing: 'as-declared' }

export class ResponseRelay {
  readonly #options: ResponseRelayOptions
  readonly #driver: ResponseDriver
  readonly #client: BufferedSocket
  readonly #up: BufferedSocket
  #pending: Buffer | null = null
  #interim = 0
  #response: ResponseHead | null = null
  #marks: ResponseMarks | null = null
  /** Sent together with the first piece of the body. */
  #unsentHead: string | null = null
  #body: BodyDecoder | null = null
  #bytesDown = 0

  constructor(options: ResponseRelayOptions, driver: ResponseDriver) {
    this.#options = options
    this.#driver = driver
    this.#client = options.client
    this.#up = options.upstream.socket
  }

  /** True before anything of the answer has arrived. */
  get untouched(): boolean {
    return this.#response === null && this.#pending === null && this.#interim === 0
  }

  /** The status sent to the client; 0 when none was sent. */
  get status(): number {
    return this.#response?.status ?? 0
  }

  get bytesDown(): number {
    return this.#bytesDown
  }

  /** The client was told that its connection stays open. */
  get keepsClient(): boolean {
    return this.#marks !== null && this.#marks.keptMs !== null
  }

  /** The destination has said that its connection stays open. */
  get keepsUpstream(): boolean {
    return this.#response?.keepAlive === true
  }

  /** The `Keep-Alive: timeout=` of the destination, in milliseconds; null without one. */
  get keepAliveMs(): number | null {
    const found = this.#response?.fields.find(({ name }) => name === 'keep-alive')
    const seconds =
      found === undefined ? null : /(?:^|[,\s])timeout\s*=\s*"?(\d{1,9})/i.exec(found.value)
    return seconds === null ? null : Number(seconds[1]) * 1_000
  }

  /** @throws MalformedMessage when it is not HTTP that we accept */
  push(chunk: Buffer): ResponseProgress {
    return this.#body === null ? this.#onHeadBytes(chunk) : this.#onBodyBytes(chunk, this.#body)
  }

  /** The upstream has ended its half. True when that is the regular end of the answer. */
  end(): boolean {
    if (this.#response?.body !== 'until-close') return false
    if (this.#marks?.framing === 'chunked') writeLastChunk(this.#client, [])
    return true
  }

  #onHeadBytes(chunk: Buffer): ResponseProgress {
    let bytes = this.#pending === null ? chunk : Buffer.concat([this.#pending, chunk])
    for (;;) {
      const end = findHeadEnd(bytes, RESPONSE_LIMITS)
      if (end === -1) {
        this.#pending = bytes
        this.#up.keep()
        return 'more'
      }
      const response = parseResponseHead(bytes.subarray(0, end), this.#options.head.method)
      bytes = bytes.subarray(end)
      if (response.status === 101) return this.#onSwitch(response, bytes)
      if (response.status >= 200) return this.#onFinalHead(response, bytes)
      this.#interim += 1
      if (this.#interim > MAX_INTERIM_ANSWERS)
        throw new MalformedMessage('too many interim answers')
      if (this.#options.head.version === '1.1')
        this.#client.writeText(writeResponseHead(response, INTERIM))
    }
  }

  #onSwitch(response: ResponseHead, rest: Buffer): ResponseProgress {
    const { head, requestId } = this.#options
    const fault = switchFault(head, response)
    if (fault !== null) throw new MalformedMessage(fault)
    this.#response = response
    this.#client.writeText(writeResponseHead(response, { ...INTERIM, requestId }))
    this.#up.release()
    this.#up.unread(rest)
    return 'upgraded'
  }

  #onFinalHead(response: ResponseHead, rest: Buffer): ResponseProgress {
    if (response.status === 407)
      throw new MalformedMessage('it asks for proxy credentials, which only a proxy may')
    const { head, requestId } = this.#options
    this.#pending = null
    this.#response = response
    const indefinite = typeof response.body !== 'number'
    const framing = !indefinite ? 'as-declared' : head.version === '1.1' ? 'chunked' : 'until-close'
    const keeps = this.#driver.requestDone && framing !== 'until-close'
    this.#marks = { requestId, keptMs: keeps ? this.#options.keptMs : null, framing }
    const body = createBodyDecoder(response.body, (data) => this.#sendDown(data), 'drop')
    this.#body = body
    const progress = this.#writeHead(writeResponseHead(response, this.#marks), rest, body)
    if (progress === 'more') this.#client.onDrain(() => this.#driver.onDrain())
    return progress
  }

  #writeHead(text: string, rest: Buffer, body: BodyDecoder): ResponseProgress {
    if (rest.length === 0 && !body.done) {
      this.#client.writeText(text)
      return 'more'
    }
    if (this.#marks?.framing === 'as-declared' && !body.done) {
      this.#unsentHead = text
      return this.#onBodyBytes(rest, body)
    }
    this.#client.raw.cork()
    this.#client.writeText(text)
    const progress = this.#onBodyBytes(rest, body)
    this.#client.raw.uncork()
    return progress
  }

  #onBodyBytes(chunk: Buffer, body: BodyDecoder): ResponseProgress {
    const taken = body.push(chunk)
    if (!body.done) return 'more'
    if (this.#marks?.framing === 'chunked') writeLastChunk(this.#client, body.trailers)
    return taken === chunk.length ? 'whole' : 'beyond'
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
}
