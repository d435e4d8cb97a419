/** The two ends of one call within the process, as grpc-js shows them: one reads events, the other writes them. */
import { EventEmitter } from 'node:events'
import { Readable } from 'node:stream'
import {
  type ClientReadableStream,
  Metadata,
  type ServiceError,
  type StatusObject,
  status,
} from '@grpc/grpc-js'

const OK: StatusObject = Object.freeze({
  code: status.OK,
  details: '',
  metadata: new Metadata(),
})

/** What the caller of a streaming method reads. */
export class CallersEnd<T> extends Readable implements ClientReadableStream<T> {
  readonly deserialize: (bytes: Buffer) => T
  readonly #waiting: { readonly bytes: Buffer; taken(): void }[] = []
  readonly #onCancel: () => void
  #wanted = false
  #end: StatusObject | null = null

  constructor(deserialize: (bytes: Buffer) => T, onCancel: () => void) {
    super({ objectMode: true, highWaterMark: 1 })
    this.deserialize = deserialize
    this.#onCancel = onCancel
    // as in grpc-js, a call that nobody listens to fails for itself
    this.on('error', () => {})
  }

  override _read(): void {
    this.#wanted = true
    this.#flow()
  }

  /** @param taken called when the reader has room for more */
  deliver(bytes: Buffer, taken: () => void): void {
    this.#waiting.push({ bytes, taken })
    this.#flow()
  }

  /** After all that was delivered. */
  finish(end: StatusObject): void {
    this.#end ??= end
    this.#flow()
  }

  cancel(): void {
    if (this.destroyed || this.readableEnded) return
    this.#onCancel()
    this.#fail({ code: status.CANCELLED, details: 'Cancelled on client', metadata: new Metadata() })
  }

  getPeer(): string {
    return 'memory'
  }

  getAuthContext(): null {
    return null
  }

  #flow(): void {
    while (this.#wanted && !this.destroyed) {
      const next = this.#waiting.shift()
      if (next === undefined) break
      this.#wanted = this.push(this.deserialize(next.bytes))
      setImmediate(next.taken)
    }
    const end = this.#end
    if (end === null || this.#waiting.length > 0 || this.destroyed) return
    if (end.code === status.OK) {
      this.once('end', () => this.emit('status', OK))
      this.push(null)
    } else this.#fail(end)
  }

  #fail(end: StatusObject): void {
    this.emit('status', end)
    this.destroy(serviceError(end))
  }
}

/** What the handler of a method sees. */
export class HandlersEnd extends EventEmitter {
  readonly request: unknown
  readonly metadata: Metadata
  readonly #to: CallersEnd<unknown> | null
  readonly #onHead: (head: Metadata) => void
  #over = false

  /** @param to null for a method with one answer */
  constructor(
    request: unknown,
    metadata: Metadata,
    to: CallersEnd<unknown> | null,
    onHead: (head: Metadata) => void,
  ) {
    super()
    this.request = request
    this.metadata = metadata
    this.#to = to
    this.#onHead = onHead
  }

  sendMetadata(head: Metadata): void {
    this.#onHead(head)
  }

  write(bytes: Buffer, taken: () => void = () => {}): boolean {
    if (!this.#over) this.#to?.deliver(bytes, taken)
    return true
  }

  end(): void {
    this.finish(OK)
  }

  finish(end: StatusObject): void {
    if (this.#over) return
    this.#over = true
    this.#to?.finish(end)
    this.emit('close')
  }

  /** The caller has gone. */
  cancelled(): void {
    if (this.#over) return
    this.#over = true
    this.emit('cancelled', 'cancelled')
    this.emit('close')
  }
}

export function serviceError(end: StatusObject): ServiceError {
  return Object.assign(new Error(`${end.code} ${status[end.code]}: ${end.details}`), end)
}
