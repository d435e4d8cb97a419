/**
 * Writes the open record of a call, tunnel or answer, once, when it has been open for a while. So even a killed gateway
 * has recorded what was open. Short requests have no open record and cost one comparison. The end record has the same
 * `open_id`.
 */
import { uuidV7 } from '@clawmesh/proto'
import type { AuditLog, AuditRecord, Phase } from './audit-record.ts'

/** The default time before the open record. */
export const DEFAULT_OPEN_AFTER_MS = 5_000

/** For a request with a single record. */
export const ONLY_RECORD: Phase = Object.freeze({ phase: null, open_id: null })

export class OpenRecord {
  readonly #audit: Pick<AuditLog, 'write'>
  readonly #compose: (phase: Phase) => AuditRecord
  #openId: string | null = null
  #dueMs: number

  /**
   * @param dueMs when to write it, by `performance.now()`
   * @param compose makes the record, with the facts known by then
   */
  constructor(
    dueMs: number,
    audit: Pick<AuditLog, 'write'>,
    compose: (phase: Phase) => AuditRecord,
  ) {
    this.#dueMs = dueMs
    this.#audit = audit
    this.#compose = compose
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
    this.#audit.write(this.facts())
  }

  /** The facts known by now, as an open record has them; nothing is written. Its open_id is null when it was not due yet. */
  facts(): AuditRecord {
    return this.#compose({ phase: 'open', open_id: this.#openId })
  }

  /** The fields for the end record. */
  end(): Phase {
    this.#dueMs = Number.POSITIVE_INFINITY
    return this.#openId === null ? ONLY_RECORD : { phase: 'end', open_id: this.#openId }
  }
}
