/** What the processes of the development mesh tell each other. Read with care all the same: a message is data from outside. */

/** A process is up; `port` is where it listens, 0 where it does not. */
export interface Ready {
  readonly kind: 'ready'
  readonly port: number
}

/** To the planner: have this document read by the researcher. */
export interface Order {
  readonly kind: 'order'
  readonly url: string
}

export interface ProgressReport {
  readonly kind: 'progress'
  readonly fraction: number
  readonly note: string
}

/** The delegation has ended; `result` is what the researcher returned. */
export interface Outcome {
  readonly kind: 'outcome'
  readonly delegationId: string
  readonly result: unknown
  readonly durationMs: number
}

/** Something went wrong, in words and with what to do. */
export interface Failure {
  readonly kind: 'failure'
  readonly delegationId: string
  readonly code: string
  readonly message: string
  readonly hint: string
}

export type Message = Ready | Order | ProgressReport | Outcome | Failure

/** Null when it is none of ours. */
export function readMessage(value: unknown): Message | null {
  if (!isRecord(value)) return null
  const { kind, port, url, fraction, note, delegationId, result, durationMs, code, message, hint } =
    value
  if (kind === 'ready' && typeof port === 'number') return { kind, port }
  if (kind === 'order' && typeof url === 'string') return { kind, url }
  if (kind === 'progress' && typeof fraction === 'number' && typeof note === 'string')
    return { kind, fraction, note }
  if (typeof delegationId !== 'string') return null
  if (kind === 'outcome' && typeof durationMs === 'number')
    return { kind, delegationId, result, durationMs }
  if (kind !== 'failure' || typeof code !== 'string') return null
  if (typeof message !== 'string' || typeof hint !== 'string') return null
  return { kind, delegationId, code, message, hint }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
