/**
 * One HTTP/2 session to one address of one peer: how many streams it carries, whether it takes more,
 * and when it goes. Knows nothing of policy.
 */
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2'
import { MeshError } from '@clawmesh/proto'

export interface UpstreamSession {
  /** SPIFFE ID of the peer, by its certificate; of the gateway itself for its own services. */
  readonly peerId: string
  readonly ip: string | null
  readonly port: number | null
  readonly active: number
  /** Keeps a place for one stream; false when it takes no more. A place kept is opened or released. */
  reserve(): boolean
  release(): void
  /** Opens the stream a place was kept for. @throws MeshError MESH_PEER_LOST when the session is going. */
  open(headers: readonly string[]): ClientHttp2Stream
  /** Takes no more streams; closes when those it carries have ended. */
  retire(): void
  destroy(): void
}

export interface SessionOptions {
  readonly peerId: string
  readonly ip: string | null
  readonly port: number | null
  /** When the peer's certificate ends, milliseconds since the epoch. */
  readonly notAfterMs: number
  /** Closed after this long without a stream, in milliseconds. */
  readonly idleMs: number
  /** A PING goes out this often, in milliseconds, and must be answered before the next. */
  readonly pingMs: number
  readonly onClose: () => void
}

const OPEN = Object.freeze({ endStream: false })

export function wrapSession(session: ClientHttp2Session, options: SessionOptions): UpstreamSession {
  let active = 0
  let retired = false
  let idleSince = performance.now()
  let pingAnswered = true
  let maxStreams = session.remoteSettings.maxConcurrentStreams ?? Number.POSITIVE_INFINITY

  const tick = setInterval(() => {
    if (active === 0 && performance.now() - idleSince >= options.idleMs) return self.retire()
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
    maxStreams = settings.maxConcurrentStreams ?? maxStreams
  })
  // a peer that says goodbye gets no new streams; those it has accepted go on
  session.once('goaway', () => {
    retired = true
  })

  const self: UpstreamSession = {
    peerId: options.peerId,
    ip: options.ip,
    port: options.port,
    get active() {
      return active
    },
    reserve() {
      if (retired || session.closed || session.destroyed) return false
      if (Date.now() > options.notAfterMs) {
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
        stream.once('close', self.release)
        return stream
      } catch (cause) {
        self.release()
        throw new MeshError('MESH_PEER_LOST', undefined, { cause })
      }
    },
    retire() {
      retired = true
      if (active === 0) session.close()
    },
    destroy() {
      retired = true
      session.destroy()
    },
  }
  return self
}
