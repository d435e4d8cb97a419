/** The session of a peer, except that its streams pass through the filter of reflection. */
import type { ClientHttp2Stream } from 'node:http2'
import type { UpstreamSession } from '../upstream/session.ts'

export class FilteredSession implements UpstreamSession {
  readonly #session: UpstreamSession
  readonly #open: UpstreamSession['open']

  constructor(session: UpstreamSession, open: UpstreamSession['open']) {
    this.#session = session
    this.#open = open
  }

  get peerId(): string {
    return this.#session.peerId
  }

  get certificate(): UpstreamSession['certificate'] {
    return this.#session.certificate
  }

  get ip(): string | null {
    return this.#session.ip
  }

  get port(): number | null {
    return this.#session.port
  }

  get replica(): string | null {
    return this.#session.replica
  }

  get active(): number {
    return this.#session.active
  }

  get gone(): boolean {
    return this.#session.gone
  }

  /** The stream is within this process, and does not show whether the peer processed the call. */
  unprocessed(): boolean {
    return false
  }

  reserve(): boolean {
    return this.#session.reserve()
  }

  release(): void {
    this.#session.release()
  }

  open(headers: readonly string[]): ClientHttp2Stream {
    return this.#open(headers)
  }

  retire(): void {
    this.#session.retire()
  }

  destroy(): void {
    this.#session.destroy()
  }
}
