/** Calls that may be repeated, repeated while the connection is at fault. */
import type { ErrorCode, MeshError } from '@clawmesh/proto'
import { createBackoff } from './backoff.ts'
import type { CallChoices, Connection, Method } from './connection.ts'
import type { FirstContact } from './first-contact.ts'
import { judgeStreamError } from './lost-stream.ts'

export interface UnaryChoices extends Omit<CallChoices, 'deadline' | 'signal'> {
  /** Errors of a connection that are an answer to this call. Default: none is. */
  readonly stands?: (code: ErrorCode) => boolean
  /** How long this call is repeated, in milliseconds. Default: as long as all others. */
  readonly forMs?: number
}

/** @throws MeshError the last one, once that time (10 s) has passed or the answer stands; sooner of a gateway that was never reached */
export type UnaryCall = <Request, Response>(
  method: Method<Request, Response>,
  request: Request,
  choices: UnaryChoices,
  signal: AbortSignal,
) => Promise<Response>

export interface RetryUnaryOptions {
  readonly connection: Pick<Connection, 'unary'>
  readonly contact: Pick<FirstContact, 'begin'>
  /** Why a connection was refused lately: then trying again does not help. */
  readonly refusal: () => MeshError | null
  /** How long they are repeated, in milliseconds. Default 10,000. */
  readonly forMs?: number
}

/** Of one try, and of all of them together. */
const UNARY_MS = 10_000

export function retryUnary(options: RetryUnaryOptions): UnaryCall {
  const { connection, contact, refusal, forMs: usualMs = UNARY_MS } = options
  return async (method, request, { stands, forMs = usualMs, ...choices }, callersSignal) => {
    const { signal, unreached, failure, end } = contact.begin(callersSignal)
    const backoff = createBackoff({ maxMs: 1_000 })
    let untilMs = performance.now() + forMs
    try {
      for (;;) {
        try {
          const bounded = { ...choices, deadline: Date.now() + UNARY_MS, signal }
          return await connection.unary(method, request, bounded)
        } catch (thrown) {
          const late = failure()
          if (late !== null) throw late
          const { error, lost } = judgeStreamError(thrown, false)
          const refused = error.code === 'MESH_GATEWAY_UNREACHABLE' ? refusal() : null
          if (refused !== null) throw refused
          // a gateway that was never reached has its own clock, and no answer has come from it
          const waiting = unreached() && (lost || error.code === 'MESH_CALL_DEADLINE')
          if (waiting) untilMs = performance.now() + forMs
          else if (!lost || stands?.(error.code) === true || performance.now() >= untilMs)
            throw error
          if (signal.aborted) throw error
          try {
            await backoff.wait(signal)
          } catch {
            // let go of while waiting: what went wrong before says more than that
            throw failure() ?? error
          }
        }
      }
    } finally {
      end()
    }
  }
}
