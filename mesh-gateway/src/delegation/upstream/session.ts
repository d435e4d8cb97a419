/**
 * One HTTP/2 session to one address of one peer: counts its streams, tells whether it takes more, and closes it. Knows
 * no policy.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from 'node:http2'
import type { PeerCertificate } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import type { ReplicaMarks } from './replica.ts'

export interface UpstreamSession {
  /** SPIFFE ID of the peer, from its certificate; of the gateway for its own services. */
  readonly peerId: string
  /** Null for the gateway's own services. */
  readonly certificate: PeerCertificate | null
  readonly ip: string | null
  readonly port: number | null
  /** The mark of the replica; null for the gateway's own services. */
  readonly replica: string | null
  readonly active: number
  /** True when the connection has ended. */
  readonly gone: boolean
  /** True when the peer certainly did not process a stream that has ended: the call may be retried elsewhere. */
  unprocessed(stream: ClientHttp2Stream): boolean
  /** Reserves a place for one stream; false when the session is full. A reserved place must be opened or released. */
  reserve(): boolean
  release(): void
  /**
   * Opens the stream for which a place was reserved.
   * @throws MeshError MESH_PEER_LOST when the session is closing; MESH_ROUTE_MALFORMED when a header cannot be
   *   forwarded
   */
  open(headers: readonly string[]): ClientHttp2Stream
  /** Takes no more streams; closes when its open streams have ended. */
  retire(): void
  destroy(): void
}

export interface SessionOptions {
  readonly peerId: string
  /** Null for the gateway's own services. */
  readonly certificate: PeerCertificate | null
  /** False when the peer must get no further streams. Default: always true. */
  readonly isGood?: () => boolean
  readonly ip: string | null
  readonly port: number | null
  /** Null for the gateway's own services. */
  readonly marks?: ReplicaMarks
  /** When the peer's certificate ends, milliseconds since the epoch. */
  readonly notAfterMs: number
  /** Closed after this long without a stream, in milliseconds. */
  readonly idleMs: number
  /** The interval at which a sign of life is asked for, in milliseconds; each must come before the next is asked for. */
  readonly pingMs: number
  /** The age at which it takes no more streams, in milliseconds; 0 for never. */
  readonly ageMs: number
  readonly onClose: () => void
}

const OPEN = Object.freeze({ endStream: false })
/**
 * Node servers answer a thousand quick resets by closing the connection with all its streams: a session with many
 * cancelled calls is retired before. The count decays at the rate at which such servers forget resets.
 */
const MAX_CANCELS = 500
/** Far more than any peer needs. */
const MAX_SETTINGS = 1_000
const FORGIVEN_PER_MS = 30 / 1_000
/**
 * Errors that mean: the session began to close since a place was reserved, and nothing was sent. Node 24.16 throws them;
 * 24.21 ends the stream with them, which then has no id (`unprocessed`).
 */
const GOING: ReadonlySet<string> = new Set([
  'ERR_HTTP2_GOAWAY_SESSION',
  'ERR_HTTP2_INVALID_SESSION',
])

export function wrapSession(session: ClientHttp2Session, options: SessionOptions): UpstreamSession {
  return new PeerSession(session, options)
}

class PeerSession implements UpstreamSession {
  readonly peerId: string
  readonly certificate: PeerCertificate | null
  readonly ip: string | null
  readonly port: number | null
  readonly #session: ClientHttp2Session
  readonly #options: SessionOptions
  readonly #tick: NodeJS.Timeout
  readonly #bornMs = performance.now()
  /** A listener for all streams. */
  readonly #onStreamClose: (this: ClientHttp2Stream) => void
  #active = 0
  #retired = false
  #maxStreams: number
  #settingsSeen = 0
  #idleSince = performance.now()
  #answered = true
  #lastAccepted: number | null = null
  #cancels = 0
  #cancelledAt = 0
  #mark: string | null = null
  #markedBy: number | null = null

  constructor(session: ClientHttp2Session, options: SessionOptions) {
    this.peerId = options.peerId
    this.certificate = options.certificate
    this.ip = options.ip
    this.port = options.port
    this.#session = session
    this.#options = options
    this.#maxStreams = session.remoteSettings.maxConcurrentStreams ?? Number.POSITIVE_INFINITY
    this.#tick = setInterval(() => this.#onTick(), options.pingMs).unref()
    this.#onStreamClose = onClose((code) => this.#onStreamEnd(code))
    session.once('close', () => this.#onClose())
    session.on('remoteSettings', ({ maxConcurrentStreams }) =>
      this.#onSettings(maxConcurrentStreams),
    )
    // a peer that sends GOAWAY gets no new streams; accepted ones go on
    session.on('goaway', (_code, lastStreamId) => {
      this.#retired = true
      this.#lastAccepted = lastStreamId
    })
  }

  /** Called for each call; computed once for each key. */
  get replica(): string | null {
    const { ip, port } = this
    const { marks } = this.#options
    if (ip === null || port === null || marks === undefined) return null
    if (this.#markedBy === marks.generation()) return this.#mark
    this.#markedBy = marks.generation()
    this.#mark = marks.of(ip, port)
    return this.#mark
  }

  get active(): number {
    return this.#active
  }

  get gone(): boolean {
    return this.#session.destroyed
  }

  unprocessed({ rstCode, id }: ClientHttp2Stream): boolean {
    const last = this.#lastAccepted
    if (rstCode === constants.NGHTTP2_REFUSED_STREAM || id === undefined) return true
    return last !== null && id > last
  }

  reserve(): boolean {
    const session = this.#session
    if (this.#retired || session.closed || session.destroyed) return false
    if (Date.now() > this.#options.notAfterMs || this.#options.isGood?.() === false) {
      this.retire()
      return false
    }
    if (this.#active >= this.#maxStreams) return false
    this.#active += 1
    return true
  }

  release(): void {
    this.#active -= 1
    if (this.#active > 0) return
    this.#idleSince = performance.now()
    if (this.#retired) this.#session.close()
  }

  open(headers: readonly string[]): ClientHttp2Stream {
    try {
      const stream = this.#session.request(headers, OPEN)
      stream.on('close', this.#onStreamClose)
      return stream
    } catch (cause) {
      this.release()
      const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
      if (GOING.has(code)) throw new MeshError('MESH_PEER_LOST', undefined, { cause })
      throw new MeshError('MESH_ROUTE_MALFORMED', 'the metadata of the call cannot be sent on', {
        cause,
        hint: 'send each header once that may have one value only, and none that is about a connection',
      })
    }
  }

  retire(): void {
    this.#retired = true
    if (this.#active === 0) this.#session.close()
  }

  destroy(): void {
    this.#retired = true
    // with NO_ERROR each stream would seem ended by the peer; without an error object Node ignores the code
    this.#session.destroy(new Error('the session is given up'), constants.NGHTTP2_CANCEL)
  }

  #onTick(): void {
    const session = this.#session
    // the session is destroyed and `close` is still to come: an exception of Node here would end the process
    if (session.destroyed) return
    const { idleMs, ageMs } = this.#options
    const nowMs = performance.now()
    const isIdle = this.#active === 0
    const isOld = ageMs > 0 && nowMs - this.#bornMs >= ageMs
    if (isOld || (isIdle && nowMs - this.#idleSince >= idleMs)) this.retire()
    if (isIdle) return
    if (this.#answered) this.#askForLife()
    else this.destroy()
  }

  /**
   * By an empty SETTINGS, which a peer has to acknowledge as it has to a PING. Servers of gRPC end a connection for the
   * fourth PING of a silent call: docs/discoveries/grpc-servers-count-pings.md
   */
  #askForLife(): void {
    this.#answered = false
    this.#session.settings({}, () => {
      this.#answered = true
    })
  }

  #onSettings(maxStreams: number | undefined): void {
    this.#settingsSeen += 1
    if (this.#settingsSeen > MAX_SETTINGS) this.destroy()
    else this.#maxStreams = maxStreams ?? this.#maxStreams
  }

  #onClose(): void {
    clearInterval(this.#tick)
    this.#retired = true
    this.#options.onClose()
  }

  #onStreamEnd(code: number): void {
    if (code === constants.NGHTTP2_CANCEL) this.#countCancel()
    this.release()
  }

  #countCancel(): void {
    const nowMs = performance.now()
    const forgiven = (nowMs - this.#cancelledAt) * FORGIVEN_PER_MS
    this.#cancels = Math.max(0, this.#cancels - forgiven) + 1
    this.#cancelledAt = nowMs
    if (this.#cancels > MAX_CANCELS) this.retire()
  }
}

/** A listener to the end of streams. Node calls it with the stream as `this`. */
function onClose(end: (code: number) => void): (this: ClientHttp2Stream) => void {
  return function () {
    end(this.rstCode)
  }
}
