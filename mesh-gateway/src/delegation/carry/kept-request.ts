/** The beginning of a request, kept until the callee answers, so that the call can be sent again elsewhere. */
import type { Writable } from 'node:stream'

/** A larger request is not kept. */
const KEPT_BYTES = 16_384

export class KeptRequest {
  /** True when the request has ended. */
  ended = false
  #chunks: Buffer[] = []
  #bytes = 0
  #again = false

  /** Keeps a chunk that is about to be written. False when the request is too large: it cannot be sent again. */
  keep(chunk: Buffer): boolean {
    this.#bytes += chunk.length
    if (this.#bytes > KEPT_BYTES && !this.#again) return false
    this.#chunks.push(chunk)
    return true
  }

  /**
   * The request will be sent again: from now on it stays whole. The caller is paused, so no more comes than what has
   * been read.
   */
  holdAll(): void {
    this.#again = true
  }

  sendTo(stream: Writable): void {
    for (const chunk of this.#chunks) stream.write(chunk)
    if (this.ended) stream.end()
  }
}
