/**
 * The records of issued certificates, so that they can be revoked by name. One file per day of expiry: after that day
 * it gets no more records and can be removed as a whole.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { hasErrorCode } from '../disk/file-fault.ts'
import { appendRecord, readRecords } from '../disk/journal.ts'
import { textField } from './fields.ts'

export interface IssuedRecord {
  /** Lower-case hexadecimal. */
  readonly serial: string
  /**
   * The CA that issued it, by the identifier of its key, lower-case hexadecimal; null in records of versions that did
   * not store it.
   */
  readonly issuer: string | null
  /** SHA-256 of the certificate, lower-case hexadecimal. */
  readonly fingerprint: string
  readonly spiffeId: string
  readonly notAfter: Date
}

export const ISSUED_FOLDER = 'issued'
const FILE = /^(\d{4}-\d\d-\d\d)\.jsonl$/
const DAY_MS = 86_400_000

/** On disk when it returns. @throws MeshError MESH_DISK_WRITE; the certificate must then not be handed out. */
export function recordIssued(caDir: string, record: IssuedRecord, nowMs: number): void {
  appendRecord(join(caDir, ISSUED_FOLDER, `${dayOf(record.notAfter)}.jsonl`), {
    ...record,
    notAfter: record.notAfter.toISOString(),
    issued: new Date(nowMs).toISOString(),
  })
}

/** Records of certificates that have not expired. @throws MeshError MESH_PKI_INVALID. */
export async function readIssued(caDir: string, nowMs: number): Promise<readonly IssuedRecord[]> {
  const today = dayOf(new Date(nowMs))
  const files = (await dayFiles(caDir)).filter(({ day }) => day >= today)
  const records = await Promise.all(files.map(({ path }) => readRecords(path)))
  return records
    .flat()
    .flatMap((record) => {
      const notAfter = new Date(textField(record, 'notAfter'))
      const serial = textField(record, 'serial')
      const spiffeId = textField(record, 'spiffeId')
      const fingerprint = textField(record, 'fingerprint')
      const issuer = textField(record, 'issuer') || null
      return serial === '' ? [] : [{ serial, issuer, fingerprint, spiffeId, notAfter }]
    })
    .filter(({ notAfter }) => notAfter.getTime() > nowMs)
}

/** Removes records of certificates that expired more than a week ago. */
export async function forgetExpired(caDir: string, nowMs: number): Promise<void> {
  const old = dayOf(new Date(nowMs - 7 * DAY_MS))
  for (const { day, path } of await dayFiles(caDir)) if (day < old) await rm(path, { force: true })
}

async function dayFiles(
  caDir: string,
): Promise<readonly { readonly day: string; readonly path: string }[]> {
  const folder = join(caDir, ISSUED_FOLDER)
  const names = await readdir(folder).catch((error: unknown): string[] => {
    // a CA of an earlier version, or one that has issued nothing
    if (hasErrorCode(error, 'ENOENT')) return []
    throw error
  })
  return names.flatMap((name) => {
    const day = FILE.exec(name)?.[1]
    return day === undefined ? [] : [{ day, path: join(folder, name) }]
  })
}

function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10)
}
