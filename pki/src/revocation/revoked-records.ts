/** What a CA has revoked. Nothing is ever taken back: a certificate that was revoked by mistake is issued again. */
import { join } from 'node:path'
import { appendRecord, readRecords } from '../disk/journal.ts'
import { textField } from './fields.ts'
import { isReason, type RevocationReason } from './reasons.ts'

export interface RevokedRecord {
  /** Lower-case hexadecimal. */
  readonly serial: string
  readonly spiffeId: string | null
  readonly reason: RevocationReason
  readonly revoked: Date
  readonly notAfter: Date
}

const FILE = 'revoked.jsonl'

/** On disk when it returns. @throws MeshError MESH_DISK_WRITE. */
export function recordRevoked(caDir: string, record: RevokedRecord): void {
  appendRecord(join(caDir, FILE), {
    ...record,
    revoked: record.revoked.toISOString(),
    notAfter: record.notAfter.toISOString(),
  })
}

/** The first word on each serial, in the order in which they were revoked. @throws MeshError MESH_PKI_INVALID. */
export async function readRevoked(caDir: string): Promise<ReadonlyMap<string, RevokedRecord>> {
  const bySerial = new Map<string, RevokedRecord>()
  for (const record of await readRecords(join(caDir, FILE))) {
    const serial = textField(record, 'serial')
    const reason = textField(record, 'reason')
    if (!/^[0-9a-f]{2,40}$/.test(serial) || bySerial.has(serial)) continue
    bySerial.set(serial, {
      serial,
      spiffeId: textField(record, 'spiffeId') || null,
      reason: isReason(reason) ? reason : 'unspecified',
      revoked: dateField(record, 'revoked'),
      notAfter: dateField(record, 'notAfter'),
    })
  }
  return bySerial
}

/** A date that cannot be read is far ahead, so that the record stays in the list. */
function dateField(record: object, name: string): Date {
  const date = new Date(textField(record, name))
  return Number.isNaN(date.getTime()) ? new Date(Date.UTC(9999, 0)) : date
}
