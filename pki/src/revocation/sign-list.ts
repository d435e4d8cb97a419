/** Signs one revocation list: numbered, in whole seconds, as PEM and DER. */
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { toPem } from '../der/pem.ts'
import { readBounded } from '../disk/read-bounded.ts'
import { replaceFile } from '../disk/replace-file.ts'
import { type Issuer, keyIdOf } from '../x509/certificate.ts'
import { signCrl } from '../x509/crl.ts'
import type { ParsedCertificate } from '../x509/parse-certificate.ts'
import { REASON_CODES } from './reasons.ts'
import type { RevokedRecord } from './revoked-records.ts'

export interface ListContent {
  readonly issuer: Issuer
  readonly number: number
  readonly nowMs: number
  /** The nextUpdate of the list, in milliseconds since the epoch. */
  readonly endsMs: number
  readonly revoked: readonly RevokedRecord[]
}

export interface SignedList {
  /** The list alone. */
  readonly pem: string
  readonly der: Buffer
  readonly thisUpdate: Date
  readonly nextUpdate: Date
  /** Serial numbers in it, lower-case hexadecimal. */
  readonly serials: readonly string[]
}

export const NUMBER_FILE = 'crl.json'
const LISTS_SINCE_BACKUP = 1_000_000
const CLOCK_ERROR_MS = 30 * 24 * 3_600_000
const KEEP_EXPIRED_MS = 24 * 3_600_000
/** Numbers are near milliseconds since the epoch: this one is of the year 5138, and leaves numbers above it. */
const MOST_NUMBER = 100_000_000_000_000

export function signList({ issuer, number, nowMs, endsMs, revoked }: ListContent): SignedList {
  // a list has whole seconds only
  const thisUpdate = new Date(Math.floor(nowMs / 1000) * 1000)
  const nextUpdate = new Date(endsMs)
  const entries = revoked.map((one) => ({
    serial: one.serial,
    revoked: one.revoked,
    reasonCode: REASON_CODES[one.reason],
  }))
  const der = signCrl({ number, thisUpdate, nextUpdate, entries }, issuer)
  const serials = entries.map(({ serial }) => serial)
  return Object.freeze({ pem: toPem('X509 CRL', der), der, thisUpdate, nextUpdate, serials })
}

/** The name of an issuing CA in records: the identifier of its key, lower-case hexadecimal. */
export function issuerIdOf({ publicKey }: ParsedCertificate): string {
  return keyIdOf(publicKey).toString('hex')
}

/** A CA as the issuer of lists, with its key. */
export function listIssuer(
  { subject, subjectKeyId, publicKey }: ParsedCertificate,
  privateKey: Issuer['privateKey'],
): Issuer {
  return { name: subject, keyId: subjectKeyId ?? keyIdOf(publicKey), privateKey }
}

/** Expired certificates leave the lists one day later, so that each record was in at least one list. */
export function isListed({ notAfter }: RevokedRecord, nowMs: number): boolean {
  return notAfter.getTime() + KEEP_EXPIRED_MS > nowMs
}

/**
 * Grows independently of the clock; based on milliseconds, so that it also grows when the file is lost. Call it under
 * the lock.
 */
export async function nextListNumber(dir: string, nowMs: number): Promise<number> {
  const number = Math.max((await readListNumber(dir)) + 1, nowMs)
  await writeListNumber(dir, number)
  return number
}

/** The number of the last list; 0 when it is not known. */
export async function readListNumber(dir: string): Promise<number> {
  return readBounded(join(dir, NUMBER_FILE), 4096, 'MESH_PKI_INVALID').then(readNumber, () => 0)
}

/**
 * After a restore: numbers go on above those of lists that were signed since the backup, which nobody knows. Above the
 * clock by more than any clock is wrong, and above the last known number by more lists than are signed between backups.
 * docs/decisions/archives-are-age-files.md
 * @throws MeshError MESH_PKI_INVALID for a number that no CA of ours reaches: lists could not be numbered above it
 */
export async function raiseListNumber(dir: string, last: number, nowMs: number): Promise<void> {
  if (last > MOST_NUMBER)
    throw new MeshError(
      'MESH_PKI_INVALID',
      `${last} is the number of no revocation list of this CA`,
      {
        hint: 'compare with a list that `mesh-pki crl` of this CA wrote',
      },
    )
  await writeListNumber(dir, Math.max(last + LISTS_SINCE_BACKUP, nowMs + CLOCK_ERROR_MS))
}

async function writeListNumber(dir: string, number: number): Promise<void> {
  await replaceFile(join(dir, NUMBER_FILE), `${JSON.stringify({ number })}\n`, 0o600)
}

function readNumber(text: string): number {
  const digits = /^\{"number":(\d{1,15})\}\s*$/.exec(text)?.[1]
  return digits === undefined ? 0 : Number(digits)
}
