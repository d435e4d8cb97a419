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
  /** The interval of PINGs, in milliseconds; each must be answered before the next. */
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
/** Errors of `session.request` that mean: the session is closing, and nothing was sent. */
const GOING: ReadonlySet<string> = new Set([
  'ERR_HTTP2_GOAWAY_SESSION',
  'ERR_HTTP2_INVALID_SESSION',
  'ERR_HTTP2_OUT_OF_STREAMS',
])

export function wrapSession(session: ClientHttp2Session, options: SessionOptions): UpstreamSession {
  let active = 0
  let retired = false
  let idleSince = performance.now()
  let pingAnswered = true
  let lastAccepted: number | null = null
  let cancels = 0
  let settingsSeen = 0
  let cancelledAt = 0
  const bornMs = performance.now()
  let maxStreams = session.remoteSettings.maxConcurrentStreams ?? Number.POSITIVE_INFINITY

  const tick = setInterval(() => {
    // the session is destroyed and `close` is still to come: an exception of Node here would end the process
    if (session.destroyed) return
    const now = performance.now()
    if (active === 0 && now - idleSince >= options.idleMs) return self.retire()
    if (options.ageMs > 0 && now - bornMs >= options.ageMs) self.retire()
    if (active === 0) return
    if (!pingAnswered) return self.destroy()
    pingAnswered = false
    session.ping(() => {
      pingAnswered = true
    })
  }, options.pingMs)
  tick.unref()

  session.once('close', () => {
    clearInterval(tick)
    retired = true
    options.onClose()
  })
  session.on('remoteSettings', (settings) => {
    settingsSeen += 1
    if (settingsSeen > MAX_SETTINGS) return self.destroy()
    maxStreams = settings.maxConcurrentStreams ?? maxStreams
  })
  // a peer that sends GOAWAY gets no new streams; accepted ones go on
  session.on('goaway', (_code, lastStreamId) => {
    retired = true
    lastAccepted = lastStreamId
  })

  function onStreamClose(this: ClientHttp2Stream): void {
    if (this.rstCode === constants.NGHTTP2_CANCEL) cancelled()
    self.release()
  }

  function cancelled(): void {
    const now = performance.now()
    cancels = Math.max(0, cancels - (now - cancelledAt) * FORGIVEN_PER_MS) + 1
    cancelledAt = now
    if (cancels > MAX_CANCELS) self.retire()
  }

  let mark: string | null = null
  let markedBy: number | null = null

  /** Called for each call; computed once for each key. */
  function replica(): string | null {
    const { ip, port, marks } = options
    if (ip === null || port === null || marks === undefined) return null
    if (markedBy === marks.generation()) return mark
    markedBy = marks.generation()
    mark = marks.of(ip, port)
    return mark
  }

  const self: UpstreamSession = {
    peerId: options.peerId,
    certificate: options.certificate,
    ip: options.ip,
    port: options.port,
    get replica() {
      return replica()
    },
    get active() {
      return active
    },
    get gone() {
      return session.destroyed
    },
    unprocessed: (stream) =>
      stream.rstCode === constants.NGHTTP2_REFUSED_STREAM ||
      stream.id === undefined ||
      (lastAccepted !== null && stream.id > lastAccepted),
    reserve() {
      if (retired || session.closed || session.destroyed) return false
      if (Date.now() > options.notAfterMs || options.isGood?.() === false) {
        self.retire()
        return false
      }
      if (active >= maxStreams) return false
      active += 1
      return true
    },
    release() {
      active -= 1
      if (active > 0) return
      idleSince = performance.now()
      if (retired) session.close()
    },
    open(headers) {
      try {
        const stream = session.request(headers, OPEN)
        stream.on('close', onStreamClose)
        return stream
      } catch (cause) {
        self.release()
        const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
        if (GOING.has(code)) throw new MeshError('MESH_PEER_LOST', undefined, { cause })
        throw new MeshError('MESH_ROUTE_MALFORMED', 'the metadata of the call cannot be sent on', {
          cause,
          hint: 'send each header once that may have one value only, and none that is about a connection',
        })
      }
    },
    retire() {
      retired = true
      if (active === 0) session.close()
    },
    destroy() {
      retired = true
      // with NO_ERROR each stream would seem ended by the peer; without an error object Node ignores the code
      session.destroy(new Error('the session is given up'), constants.NGHTTP2_CANCEL)
    },
  }
  return self
}
