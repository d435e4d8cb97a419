/**
 * Watches what one client does with its connection, and cuts it when that is no way to make calls: streams,
 * resets and control frames by the thousand, bytes that carry nothing, silence where a PING wants an answer. Ends it in good
 * order when it has grown old. Node's own limits stand behind these and are not visible from here.
 */
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { GuardLimits } from '../../config/guard-limits.ts'
import type { ConnectionRefusal } from '../../telemetry/metrics-port.ts'
import { gracefulGoaway } from './graceful-goaway.ts'
import type { Meter } from './meter.ts'

export interface SessionGuard {
  /** Counts a stream; false when the connection has been cut for it. */
  opened(stream: ServerHttp2Stream): boolean
  /** To be called once a second. */
  tick(nowMs: number): void
}

export interface SessionGuardOptions {
  readonly session: ServerHttp2Session
  readonly limits: GuardLimits
  /** Bytes that a client may have sent on a stream before it can know that it was refused. */
  readonly windowBytes: number
  /** Of what the calls carried. */
  readonly meter: Meter
  readonly onCut: (reason: ConnectionRefusal) => void
  /** Ends the calls of a connection that has reached its age, and their time after it. */
  readonly endCalls: () => void
  /** Milliseconds of the clock that `tick` is told. */
  readonly nowMs: number
}

const STREAM_BURST = 2
const RESET_BURST = 10
const CONTROL_BURST = 2
const BYTES_BURST = 8

export function createSessionGuard(options: SessionGuardOptions): SessionGuard {
  const { session, limits, windowBytes, meter, onCut } = options
  const bornMs = options.nowMs
  const ageMs = limits.connectionAgeMs * (0.9 + Math.random() * 0.2)
  let streams = 0
  let resets = 0
  let control = 0
  let controlBytes = 0
  let allowedBytes = 0
  let readBytes = 0
  let heardMs = bornMs
  let pingedMs: number | null = null
  let agedMs: number | null = null
  let callsEnded = false

  function cut(reason: ConnectionRefusal): void {
    if (session.destroyed) return
    onCut(reason)
    // without an error Node forgets the code
    session.destroy(new Error('the connection is cut'), constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  function onControl(): void {
    control += 1
    if (control > limits.controlFramesPerSecond * CONTROL_BURST) cut('control-frames')
  }

  function onStreamClose(this: ServerHttp2Stream): void {
    if (this.rstCode === constants.NGHTTP2_NO_ERROR) return
    resets += 1
    if (resets > limits.resetsPerSecond * RESET_BURST) cut('resets')
  }

  session.on('ping', onControl)
  session.on('remoteSettings', onControl)

  return {
    opened(stream) {
      streams += 1
      allowedBytes += windowBytes
      if (streams > limits.streamsPerSecond * STREAM_BURST) {
        cut('streams')
        return false
      }
      stream.on('close', onStreamClose)
      return true
    },
    tick(nowMs) {
      if (session.destroyed) return
      streams = Math.max(0, streams - limits.streamsPerSecond)
      resets = Math.max(0, resets - limits.resetsPerSecond)
      control = Math.max(0, control - limits.controlFramesPerSecond)

      const read = session.socket.bytesRead
      const news = read - readBytes
      readBytes = read
      const carried = allowedBytes + meter.bytes
      allowedBytes = 0
      meter.bytes = 0
      controlBytes = Math.max(0, controlBytes + news - carried - limits.controlBytesPerSecond)
      if (controlBytes > limits.controlBytesPerSecond * BYTES_BURST) return cut('control-bytes')

      if (news > 0) {
        heardMs = nowMs
        pingedMs = null
      } else if (pingedMs !== null) {
        if (nowMs - pingedMs >= limits.pingMs) return cut('no-answer')
      } else if (nowMs - heardMs >= limits.pingMs) {
        pingedMs = nowMs
        session.ping(() => {})
      }

      if (agedMs === null) {
        if (limits.connectionAgeMs === 0 || nowMs - bornMs < ageMs) return
        agedMs = nowMs
        gracefulGoaway(session)
        return
      }
      const { connectionAgeGraceMs: graceMs } = limits
      if (graceMs === 0 || nowMs - agedMs < graceMs) return
      // the last frames have until the next tick
      if (callsEnded) session.destroy()
      else options.endCalls()
      callsEnded = true
    },
  }
}
