/**
 * The one class of errors that the world causes. Match on `code`, never on words.
 * Wrong use of an API is a TypeError instead.
 */
import { ERRORS, type ErrorCode, type ErrorRow, isErrorCode } from './codes.ts'
import { nearest } from './nearest.ts'

/** What a `MeshError` carries besides its code and its message. */
export interface MeshErrorOptions {
  /** The underlying error. For the log; never sent to a peer. */
  readonly cause?: unknown
  /** What to do about it. Default: the hint of the error table. */
  readonly hint?: string
  /** When to try again, in milliseconds. Default: unknown. */
  readonly retryAfterMs?: number
  /** Facts that travel in ErrorInfo.metadata, e.g. the rule. Never a secret. */
  readonly facts?: Readonly<Record<string, string>>
}

type Split<Text> = Text extends `${infer First}${infer Rest}` ? First | Split<Rest> : never
type Letter = Split<'ABCDEFGHIJKLMNOPQRSTUVWXYZ'>

/** A code of a skill's own, such as `QUOTA_EXHAUSTED`: whatever begins otherwise than the codes of the mesh. */
export type OwnCode =
  | `${Exclude<Letter, 'M'>}${string}`
  | `M${Exclude<Letter, 'E'>}${string}`
  | `ME${Exclude<Letter, 'S'>}${string}`
  | `MES${Exclude<Letter, 'H'>}${string}`

/**
 * An error that the world causes: a refusal, a failure of a peer, a broken connection. Match on `code`, never on words.
 *
 * @throws TypeError for a code that begins with MESH_ and is not in the table
 *
 * @example
 * import { MeshError } from '@clawmesh/proto'
 *
 * const cause: unknown = await Promise.reject(new Error('the quota service is gone')).catch((error) => error)
 * const error = new MeshError('QUOTA_EXHAUSTED', 'no more today', { cause, retryAfterMs: 60_000 })
 * console.log(error.code, error.facts.code, error.hint)
 */
export class MeshError extends Error {
  override readonly name = 'MeshError'
  readonly code: ErrorCode
  readonly hint: string
  readonly retryAfterMs: number | undefined
  readonly facts: Readonly<Record<string, string>>

  /**
   * @param code of the error table. A code of a skill's own is told as the mesh tells it: `code` is MESH_TASK_FAILED, and
   * `facts.code` is the skill's
   * @param message lower case, no full stop; defaults to the meaning of the code in the error table.
   * @throws TypeError for a code that begins with MESH_ and is not in the table
   */
  constructor(code: ErrorCode | OwnCode, message?: string, options: MeshErrorOptions = {}) {
    const known = isErrorCode(code) ? code : 'MESH_TASK_FAILED'
    super(
      message ?? ERRORS[known].meaning,
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.code = known
    this.hint = options.hint ?? ERRORS[known].hint
    this.retryAfterMs = options.retryAfterMs
    this.facts = isErrorCode(code) ? (options.facts ?? {}) : { ...options.facts, code: own(code) }
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

/** @throws TypeError */
function own(code: unknown): string {
  if (typeof code !== 'string' || code === '') throw new TypeError('code: must be a text')
  if (!code.startsWith('MESH_')) return code
  const meant = nearest(code, Object.keys(ERRORS))
  throw new TypeError(
    `code: ${code} is none of the mesh${meant === null ? '' : `; did you mean ${meant}`}`,
  )
}
