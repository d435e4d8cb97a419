/**
 * The one class of errors that the world causes. Match on `code`, never on words.
 * Wrong use of an API is a TypeError instead.
 */
import { ERRORS, type ErrorCode, type ErrorRow } from './codes.ts'

export interface MeshErrorOptions {
  /** What went wrong underneath. For the log; never sent to anybody. */
  readonly cause?: unknown
  /** What to do about it. Default: the hint of the error table. */
  readonly hint?: string
  /** When to try again, in milliseconds. Default: unknown. */
  readonly retryAfterMs?: number
  /** Facts that travel in ErrorInfo.metadata, e.g. the rule. Never a secret. */
  readonly facts?: Readonly<Record<string, string>>
}

export class MeshError extends Error {
  override readonly name = 'MeshError'
  readonly code: ErrorCode
  readonly hint: string
  readonly retryAfterMs: number | undefined
  readonly facts: Readonly<Record<string, string>>

  /** @param message lower case, no full stop; defaults to the meaning of the code in the error table. */
  constructor(code: ErrorCode, message?: string, options: MeshErrorOptions = {}) {
    super(
      message ?? ERRORS[code].meaning,
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.code = code
    this.hint = options.hint ?? ERRORS[code].hint
    this.retryAfterMs = options.retryAfterMs
    this.facts = options.facts ?? {}
  }

  /** The row of the error table: statuses, whether a retry can help. */
  get row(): ErrorRow {
    return ERRORS[this.code]
  }

  /** What the other party may read. */
  get publicMessage(): string {
    return this.row.safe ? this.message : this.row.meaning
  }
}
