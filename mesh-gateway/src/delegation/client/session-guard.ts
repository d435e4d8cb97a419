/**
 * Watches one client connection and cuts it for abuse: thousands of streams, resets and control frames, bytes without
 * payload, an unanswered PING. Closes it gracefully at its maximum age. Node's own limits stand behind these, and
 * report nothing.
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
  /** The bytes that a client may have sent on a stream before it can learn of a refusal. */
  readonly windowBytes: number
  /** Counts the bytes of the calls. */
  readonly meter: Meter
  readonly onCut: (reason: ConnectionRefusal) => void
  /** Ends the calls of a connection that has reached its maximum age and the grace period after it. */
  readonly endCalls: () => void
  /** Milliseconds, by the clock that `tick` gets. */
  readonly nowMs: number
}

const STREAM_BURST = 2
const RESET_BURST = 10
const CONTROL_BURST = 2
const BYTES_BURST = 8

export function createSessionGuard(options: SessionGuardOptions): SessionGuard {
  return new Guard(options)
}

class Guard implements SessionGuard {
  readonly #options: SessionGuardOptions
  readonly #ageMs: number
  readonly #onStreamClose: (this: ServerHttp2Stream) => void
  #streams = 0
  #resets = 0
  #control = 0
  #controlBytes = 0
  #allowedBytes = 0
  #readBytes = 0
  #heardMs: number
  #pingedMs: number | null = null
  #agedMs: number | null = null
  #callsEnded = false

  constructor(options: SessionGuardOptions) {
    this.#options = options
    this.#heardMs = options.nowMs
    this.#ageMs = options.limits.connectionAgeMs * (0.9 + Math.random() * 0.2)
    this.#onStreamClose = countsReset(() => this.#onReset())
    const onControl = () => this.#onControl()
    options.session.on('ping', onControl)
    options.session.on('remoteSettings', onControl)
  }

  opened(stream: ServerHttp2Stream): boolean {
    this.#streams += 1
    this.#allowedBytes += this.#options.windowBytes
    if (this.#streams > this.#options.limits.streamsPerSecond * STREAM_BURST) {
      this.#cut('streams')
      return false
    }
    stream.on('close', this.#onStreamClose)
    return true
  }

  tick(nowMs: number): void {
    const { session, limits } = this.#options
    if (session.destroyed) return
    this.#streams = Math.max(0, this.#streams - limits.streamsPerSecond)
    this.#resets = Math.max(0, this.#resets - limits.resetsPerSecond)
    this.#control = Math.max(0, this.#control - limits.controlFramesPerSecond)

    const read = session.socket.bytesRead
    const newBytes = read - this.#readBytes
    this.#readBytes = read
    if (this.#isTooMuchControl(newBytes)) this.#cut('control-bytes')
    else if (this.#isSilent(newBytes, nowMs)) this.#cut('no-answer')
    else this.#endAged(nowMs)
  }

  #cut(reason: ConnectionRefusal): void {
    const { session, onCut } = this.#options
    if (session.destroyed) return
    onCut(reason)
    // without an error object Node ignores the code
    session.destroy(new Error('the connection is cut'), constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  #onControl(): void {
    this.#control += 1
    if (this.#control > this.#options.limits.controlFramesPerSecond * CONTROL_BURST)
      this.#cut('control-frames')
  }

  #onReset(): void {
    this.#resets += 1
    if (this.#resets > this.#options.limits.resetsPerSecond * RESET_BURST) this.#cut('resets')
  }

  #isTooMuchControl(newBytes: number): boolean {
    const { limits, meter } = this.#options
    const carried = this.#allowedBytes + meter.bytes
    this.#allowedBytes = 0
    meter.bytes = 0
    const control = this.#controlBytes + newBytes - carried - limits.controlBytesPerSecond
    this.#controlBytes = Math.max(0, control)
    return this.#controlBytes > limits.controlBytesPerSecond * BYTES_BURST
  }

  /** True when a PING has waited too long for its answer. */
  #isSilent(newBytes: number, nowMs: number): boolean {
    const { session, limits } = this.#options
    if (newBytes > 0) {
      this.#heardMs = nowMs
      this.#pingedMs = null
    } else if (this.#pingedMs !== null) return nowMs - this.#pingedMs >= limits.pingMs
    else if (nowMs - this.#heardMs >= limits.pingMs) {
      this.#pingedMs = nowMs
      session.ping(() => {})
    }
    return false
  }

  #endAged(nowMs: number): void {
    const { session, limits, nowMs: bornMs, endCalls } = this.#options
    if (this.#agedMs === null) {
      if (limits.connectionAgeMs === 0 || nowMs - bornMs < this.#ageMs) return
      this.#agedMs = nowMs
      gracefulGoaway(session)
      return
    }
    const { connectionAgeGraceMs: graceMs } = limits
    if (graceMs === 0 || nowMs - this.#agedMs < graceMs) return
    // the last frames have time until the next tick
    if (this.#callsEnded) session.destroy()
    else endCalls()
    this.#callsEnded = true
  }
}

/** A listener to the end of streams: one for all streams of a connection. */
function countsReset(onReset: () => void): (this: ServerHttp2Stream) => void {
  return function () {
    if (this.rstCode !== constants.NGHTTP2_NO_ERROR) onReset()
  }
}
