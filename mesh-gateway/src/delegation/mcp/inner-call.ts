/**
 * One gRPC call over an HTTP/2 stream within the process, as grpc-js asks a channel for it: it frames messages, hands
 * answers over on demand, and ends with one status.
 */
import type { ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2'
import { type ChannelInterface, Metadata, type StatusObject, status } from '@grpc/grpc-js'
import { formatGrpcTimeout } from '../carry/grpc-timeout.ts'
import { createMessageReader, frameOf } from './grpc-frames.ts'
import type { MessagePace } from './message-pace.ts'

type GrpcCall = ReturnType<ChannelInterface['createCall']>
type Listener = Parameters<GrpcCall['start']>[1]

export interface InnerCallOptions {
  /** `/package.Service/Method` */
  readonly path: string
  readonly authority: string
  /** Milliseconds since the epoch; infinite without one. */
  readonly deadlineMs: number
  /** Opens the stream. Names and values in turn. @throws MeshError */
  open(headers: readonly string[]): ClientHttp2Stream
  readonly maxMessageBytes: number
  /** Of all calls of the endpoint. */
  readonly pace: MessagePace
}

export class InnerCall implements GrpcCall {
  readonly #options: InnerCallOptions
  #stream: ClientHttp2Stream | null = null
  #listener: Listener | null = null
  /** Messages that grpc-js has not asked for yet. */
  readonly #messages: Buffer[] = []
  #wanted = 0
  /** Waits for its turn to hand over the next message. */
  #waits = false
  /** Told once all messages are taken. */
  #status: StatusObject | null = null
  /** No more messages come: trailers overtake the data that is still to be read. */
  #read = false
  #ended = false

  constructor(options: InnerCallOptions) {
    this.#options = options
  }

  start(metadata: Metadata, listener: Listener): void {
    this.#listener = listener
    try {
      this.#stream = this.#options.open(this.#headers(metadata))
    } catch (cause) {
      this.#end(failed(status.UNAVAILABLE, `the call cannot be opened: ${cause}`))
      return
    }
    this.#listen(this.#stream)
  }

  sendMessageWithContext(context: { callback?: (error?: Error | null) => void }, message: Buffer) {
    if (this.#stream?.writable) this.#stream.write(frameOf(message))
    // asynchronous, as a write is
    process.nextTick(() => context.callback?.(null))
  }

  startRead(): void {
    this.#wanted += 1
    this.#deliver()
  }

  halfClose(): void {
    if (this.#stream?.writable) this.#stream.end()
  }

  cancelWithStatus(code: status, details: string): void {
    this.#messages.length = 0
    this.#end(failed(code, details))
    this.#stream?.close(8)
  }

  getPeer(): string {
    return 'the gateway'
  }

  getCallNumber(): number {
    return 0
  }

  setCredentials(): void {}

  getAuthContext() {
    return null
  }

  #headers(metadata: Metadata): string[] {
    const { path, authority, deadlineMs } = this.#options
    const headers = [':method', 'POST', ':scheme', 'https', ':path', path, ':authority', authority]
    headers.push('content-type', 'application/grpc', 'te', 'trailers')
    if (Number.isFinite(deadlineMs))
      headers.push('grpc-timeout', formatGrpcTimeout(deadlineMs - Date.now()))
    for (const [name, values] of Object.entries(metadata.toHttp2Headers()))
      for (const value of [values ?? []].flat()) headers.push(name, String(value))
    return headers
  }

  #listen(stream: ClientHttp2Stream): void {
    const reader = createMessageReader(this.#options.maxMessageBytes)
    stream.on('response', (headers, flags) => {
      // trailers-only: the head is the status
      if ((flags & 1) !== 0) this.#end(statusOf(headers))
      else this.#listener?.onReceiveMetadata(Metadata.fromHttp2Headers(headers))
    })
    stream.on('data', (chunk: Buffer) => {
      const fault = reader.take(chunk, (message) => this.#messages.push(message))
      if (fault !== null) this.cancelWithStatus(status.RESOURCE_EXHAUSTED, fault)
      // more is read when grpc-js has taken these
      if (this.#messages.length > 0) stream.pause()
      this.#deliver()
    })
    stream.on('trailers', (trailers) => {
      this.#status ??= statusOf(trailers)
      this.#deliver()
    })
    stream.on('end', () => {
      this.#read = true
      this.#deliver()
    })
    stream.on('error', () => {})
    stream.on('close', () => this.#end(failed(status.UNAVAILABLE, 'the stream was lost')))
  }

  readonly #onTurn = (): void => {
    this.#waits = false
    this.#deliver()
  }

  #end(told: StatusObject): void {
    this.#status ??= told
    this.#read = true
    this.#deliver()
  }

  #deliver(): void {
    while (this.#wanted > 0 && !this.#waits) {
      const [message] = this.#messages
      if (message === undefined) break
      if (!this.#options.pace.take(message.length)) {
        this.#waits = true
        this.#options.pace.wait(this.#onTurn)
        return
      }
      this.#messages.shift()
      this.#wanted -= 1
      this.#listener?.onReceiveMessage(message)
    }
    if (this.#messages.length > 0) return
    this.#stream?.resume()
    if (this.#status === null || !this.#read || this.#ended || this.#listener === null) return
    this.#ended = true
    this.#listener.onReceiveStatus(this.#status)
  }
}

function failed(code: status, details: string): StatusObject {
  return { code, details, metadata: new Metadata() }
}

function statusOf(headers: IncomingHttpHeaders): StatusObject {
  const metadata = Metadata.fromHttp2Headers(headers)
  const [code] = metadata.get('grpc-status')
  const [details = ''] = metadata.get('grpc-message')
  metadata.remove('grpc-status')
  metadata.remove('grpc-message')
  return { code: Number(code ?? status.UNKNOWN), details: decoded(String(details)), metadata }
}

function decoded(message: string): string {
  try {
    return decodeURIComponent(message)
  } catch {
    // a peer may write what it likes
    return message
  }
}
