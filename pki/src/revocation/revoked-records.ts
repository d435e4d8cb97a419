/**
 * The records of revoked certificates. A revocation is never undone: a certificate that was revoked by mistake is
 * issued again.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { fileFault, hasErrorCode } from '../disk/file-fault.ts'
import { appendRecord, readRecords } from '../disk/journal.ts'
import { textField } from './fields.ts'
import { isReason, type RevocationReason } from './reasons.ts'

export interface RevokedRecord {
  /** Lower-case hexadecimal. */
  readonly serial: string
  /**
   * The CA that issued it, by the identifier of its key, lower-case hexadecimal; null in records of versions that did
   * not store it.
   */
  readonly issuer: string | null
  readonly spiffeId: string | null
  readonly reason: RevocationReason
  readonly revoked: Date
  readonly notAfter: Date
}

/** Created with the CA, so that its loss is noticed. */
export const REVOKED_FILE = 'revoked.jsonl'

/** On disk when it returns. @throws MeshError MESH_DISK_WRITE. */
export function recordRevoked(caDir: string, record: RevokedRecord): void {
  appendRecord(join(caDir, REVOKED_FILE), {
    ...record,
    revoked: record.revoked.toISOString(),
    notAfter: record.notAfter.toISOString(),
  })
}

/** The first record of each serial, in the order of revocation. @throws MeshError MESH_PKI_INVALID. */
export async function readRevoked(caDir: string): Promise<ReadonlyMap<string, RevokedRecord>> {
  const bySerial = new Map<string, RevokedRecord>()
  const path = join(caDir, REVOKED_FILE)
  await mustExist(path)
  for (const record of await readRecords(path)) {
    const serial = textField(record, 'serial')
    const reason = textField(record, 'reason')
    if (!/^[0-9a-f]{2,40}$/.test(serial) || bySerial.has(serial)) continue
    bySerial.set(serial, {
      serial,
      issuer: textField(record, 'issuer') || null,
      spiffeId: textField(record, 'spiffeId') || null,
      reason: isReason(reason) ? reason : 'unspecified',
      revoked: dateField(record, 'revoked'),
      notAfter: dateField(record, 'notAfter'),
    })
  }
  return bySerial
}

/** A list signed without it would admit every revoked certificate. */
async function mustExist(path: string): Promise<void> {
  await stat(path).catch((error: unknown) => {
    if (!hasErrorCode(error, 'ENOENT')) throw fileFault('MESH_PKI_INVALID', path, error)
    throw new MeshError(
      'MESH_PKI_INVALID',
      `${path} is missing: what the CA has revoked is not known`,
      {
        hint: 'restore it from the backup of the CA; a CA of a version that did not make it, and has revoked nothing, needs an empty file',
      },
    )
  })
}

/** An unreadable date becomes one far in the future, so that the record stays in the list. */
function dateField(record: object, name: string): Date {
  const date = new Date(textField(record, name))
  return Number.isNaN(date.getTime()) ? new Date(Date.UTC(9999, 0)) : date
}
