/**
 * Writes the open record of a call, tunnel or answer, once, when it has been open for a while. A gateway that is killed has
 * then recorded what was open. Short requests have no open record and cost one comparison. The end record has the same
 * `open_id`.
 */
import { uuidV7 } from '@clawmesh/proto'

/** How long one lives before its opening is recorded, where nothing is configured. */
export const DEFAULT_OPEN_AFTER_MS = 5_000

/** Fields of the audit record that say which of two records of one request this is; null of the only one. */
export interface Phase {
  readonly phase: 'open' | 'end' | null
  readonly open_id: string | null
}

/** Of one that has one record. */
export const ONLY_RECORD: Phase = Object.freeze({ phase: null, open_id: null })

export class OpenRecord {
  readonly #write: (phase: Phase) => void
  #openId: string | null = null
  #dueMs: number

  /**
   * @param dueMs when it has lived long enough, by `performance.now()`
   * @param write writes the record, with what is known by then
   */
  constructor(dueMs: number, write: (phase: Phase) => void) {
    this.#dueMs = dueMs
    this.#write = write
  }

  /** When it is to be written, by `performance.now()`. Infinite once it has been. */
  get dueMs(): number {
    return this.#dueMs
  }

  /** Once, however often it is called. */
  write(): void {
    if (this.#openId !== null) return
    this.#openId = uuidV7()
    this.#dueMs = Number.POSITIVE_INFINITY
    this.#write({ phase: 'open', open_id: this.#openId })
  }

  /** What the record of the end says. */
  end(): Phase {
    this.#dueMs = Number.POSITIVE_INFINITY
    return this.#openId === null ? ONLY_RECORD : { phase: 'end', open_id: this.#openId }
  }
}
