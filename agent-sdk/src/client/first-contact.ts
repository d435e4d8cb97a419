/**
 * Bounds how long calls wait for a gateway that was never reached, and says its address and the cause. A person waits for
 * that answer. A gateway that was reached once has most likely been restarted, so calls wait longer for it.
 */
import { MeshError } from '@clawmesh/proto'
import type { Log } from '../log.ts'
import { connectionFailure } from '../wire/status-codec.ts'

export interface FirstContact {
  /** A call begins that is tried until `end`, however often. */
  begin(signal: AbortSignal): Attempt
  /** Something begins that is tried for ever: the log warns when the gateway has not been reached in time. */
  beginEndless(): void
  /** A call failed, as grpc-js says it. */
  failed(cause: unknown): void
  /** The gateway has shown a good certificate. */
  made(): void
  close(): void
}

export interface Attempt {
  /** Aborts with the caller's signal, and with a MeshError when the gateway has not been reached in time. */
  readonly signal: AbortSignal
  /** The gateway has not been reached so far, and may still be. */
  unreached(): boolean
  /** The error, once the gateway has not been reached in time. */
  failure(): MeshError | null
  end(): void
}

export interface FirstContactOptions {
  /** host:port of the gateway. */
  readonly target: string
  readonly log: Pick<Log, 'warn'>
  /** How long a call waits, in milliseconds. Default `FIRST_CONTACT_MS`. */
  readonly giveUpMs?: number
  /** Why a connection was refused lately: that says more than the words of grpc-js. */
  readonly refusal: () => MeshError | null
}

/** In milliseconds. The error is there within 3 s then, on a busy machine as well. */
export const FIRST_CONTACT_MS = 2_500
const BUSY_MS = 100
const HINT =
  'check that it runs and that the address is right; patience.connectGiveUpMs of createAgent waits longer for one that starts later'
const REACHED = Object.freeze({ unreached: () => false, failure: () => null, end: () => {} })

export function createFirstContact(options: FirstContactOptions): FirstContact {
  const { target, log, giveUpMs = FIRST_CONTACT_MS, refusal } = options
  const waiting = new Set<() => void>()
  let over = false
  let clock: NodeJS.Timeout | null = null
  let cause: unknown = null
  let reason = 'it does not answer'

  const failure = () => {
    const message = `the gateway ${target} has not been reached: ${reason}`
    return refusal() ?? new MeshError('MESH_GATEWAY_UNREACHABLE', message, { cause, hint: HINT })
  }
  const warn = () => {
    const { code, hint, message } = failure()
    log.warn({ code, hint }, `${message}; it is tried again`)
  }
  const warnInTime = () => {
    clock ??= setTimeout(warn, FIRST_CONTACT_MS).unref()
  }
  const end = () => {
    over = true
    if (clock !== null) clearTimeout(clock)
    for (const stop of waiting) stop()
  }
  return {
    begin(signal) {
      if (over) return { ...REACHED, signal }
      // an error says it sooner than the warning
      if (giveUpMs > FIRST_CONTACT_MS) warnInTime()
      const late = new AbortController()
      let error: MeshError | null = null
      let timer: NodeJS.Timeout
      const arm = (ms: number) => {
        const dueMs = performance.now() + ms
        timer = setTimeout(() => {
          // the process was busy: what the network has said meanwhile is still to be heard
          if (cause === null && performance.now() - dueMs > BUSY_MS) return arm(BUSY_MS)
          error = failure()
          waiting.delete(stop)
          late.abort(error)
        }, ms)
      }
      const stop = () => {
        clearTimeout(timer)
        waiting.delete(stop)
      }
      waiting.add(stop)
      arm(giveUpMs)
      return {
        signal: AbortSignal.any([signal, late.signal]),
        unreached: () => waiting.has(stop),
        failure: () => error,
        end: stop,
      }
    },
    beginEndless() {
      if (!over) warnInTime()
    },
    failed(error) {
      const why = connectionFailure(error)
      if (why === null) return
      cause = error
      reason = why
    },
    made: end,
    close: end,
  }
}
