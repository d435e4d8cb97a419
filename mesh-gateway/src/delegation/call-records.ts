/** The audit records of one call: one while it is open, if that lasts, and one of its end. */
import type { AuditLog, DelegationAuditRecord } from '../audit/audit-record.ts'
import { DEFAULT_OPEN_AFTER_MS, OpenRecord, type Phase } from '../audit/open-record.ts'
import type { Outcome } from './carry/forward.ts'
import { recordOf, type Story } from './record.ts'

export class CallRecords {
  readonly #story: Story
  readonly #audit: AuditLog
  readonly #startedMs: number
  readonly #policyGeneration: number
  /** Written by the registry of live streams. */
  readonly opening: OpenRecord

  /** @param startedMs by `performance.now()` */
  constructor(story: Story, audit: AuditLog, startedMs: number, policyGeneration: number) {
    this.#story = story
    this.#audit = audit
    this.#startedMs = startedMs
    this.#policyGeneration = policyGeneration
    const dueMs = startedMs + (audit.openAfterMs ?? DEFAULT_OPEN_AFTER_MS)
    this.opening = new OpenRecord(dueMs, (phase) => audit.write(this.#record(null, phase)))
  }

  /** Once. Answers the record that it has written. */
  end(outcome: Outcome): DelegationAuditRecord {
    const record = this.#record(outcome, this.opening.end())
    this.#audit.write(record)
    return record
  }

  #record(outcome: Outcome | null, phase: Phase): DelegationAuditRecord {
    const durationMs = performance.now() - this.#startedMs
    const policyGeneration = this.#policyGeneration
    return recordOf(this.#story, { outcome, durationMs, policyGeneration, phase })
  }
}
