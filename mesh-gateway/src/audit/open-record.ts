/**
 * Writes the open record of a call, tunnel or answer, once, when it has been open for a while. So even a killed gateway
 * has recorded what was open. Short requests have no open record and cost one comparison. The end record has the same
 * `open_id`.
 */
import { uuidV7 } from '@clawmesh/proto'

/** The default time before the open record. */
export const DEFAULT_OPEN_AFTER_MS = 5_000

/** Audit fields that tell two records of one request apart; null in a single record. */
export interface Phase {
  readonly phase: 'open' | 'end' | null
  readonly open_id: string | null
}

/** For a request with a single record. */
export const ONLY_RECORD: Phase = Object.freeze({ phase: null, open_id: null })

export class OpenRecord {
  readonly #write: (phase: Phase) => void
  #openId: string | null = null
  #dueMs: number

  /**
   * @param dueMs when to write it, by `performance.now()`
   * @param write writes the record, with the facts known by then
   */
  constructor(dueMs: number, write: (phase: Phase) => void) {
    this.#dueMs = dueMs
    this.#write = write
  }

  /** When to write it, by `performance.now()`. Infinite after that. */
  get dueMs(): number {
    return this.#dueMs
  }

  /** Idempotent. */
  write(): void {
    if (this.#openId !== null) return
    this.#openId = uuidV7()
    this.#dueMs = Number.POSITIVE_INFINITY
    this.#write({ phase: 'open', open_id: this.#openId })
  }

  /** The fields for the end record. */
  end(): Phase {
    this.#dueMs = Number.POSITIVE_INFINITY
    return this.#openId === null ? ONLY_RECORD : { phase: 'end', open_id: this.#openId }
  }
}
