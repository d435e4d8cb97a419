/**
 * Makes the list of what a CA has revoked: signed by the intermediate, numbered, good until its nextUpdate. Certificates
 * that have expired leave it one day later, so that each was in at least one list.
 */
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { toPem } from '../der/pem.ts'
import { readBounded } from '../disk/read-bounded.ts'
import { replaceFile } from '../disk/replace-file.ts'
import type { Issuer } from '../x509/certificate.ts'
import { signCrl } from '../x509/crl.ts'
import type { ParsedCertificate } from '../x509/parse-certificate.ts'
import { forgetExpired } from './issued-records.ts'
import { REASON_CODES } from './reasons.ts'
import { readRevoked } from './revoked-records.ts'

export interface CrlRequest {
  /** How long it is good for, in milliseconds; it never outlives the CA. Default 24 hours. */
  readonly ttlMs?: number
}

export interface IssuedCrl {
  /** PEM: the list, then the certificate of the CA that signed it, by which a gateway verifies it. */
  readonly pem: string
  readonly der: Buffer
  readonly number: number
  readonly thisUpdate: Date
  readonly nextUpdate: Date
  /** Serial numbers in it, lower-case hexadecimal. */
  readonly serials: readonly string[]
}

export interface CrlCa {
  readonly dir: string
  readonly certificate: ParsedCertificate
  readonly issuer: Issuer
}

export const DEFAULT_CRL_TTL_MS = 24 * 3_600_000
const KEEP_EXPIRED_MS = 24 * 3_600_000
const NUMBER_FILE = 'crl.json'

/** @throws MeshError MESH_PKI_INVALID, MESH_DISK_WRITE. */
export async function makeCrl(ca: CrlCa, request: CrlRequest, nowMs: number): Promise<IssuedCrl> {
  const { ttlMs = DEFAULT_CRL_TTL_MS } = request
  if (!Number.isFinite(ttlMs) || ttlMs < 1000) throw new TypeError('ttlMs: must be 1000 or more')
  const endsMs = ca.certificate.notAfter.getTime()
  if (nowMs >= endsMs)
    throw new MeshError('MESH_PKI_INVALID', 'the intermediate of the CA has expired', {
      hint: 'what it issued has expired with it; make a new CA',
    })
  const revoked = [...(await readRevoked(ca.dir)).values()].filter(
    ({ notAfter }) => notAfter.getTime() + KEEP_EXPIRED_MS > nowMs,
  )
  // whole seconds are all that a list can say
  const thisUpdate = new Date(Math.floor(nowMs / 1000) * 1000)
  const nextUpdate = new Date(Math.min(nowMs + ttlMs, endsMs))
  const number = await nextNumber(ca.dir, nowMs)
  const entries = revoked.map((one) => ({
    serial: one.serial,
    revoked: one.revoked,
    reasonCode: REASON_CODES[one.reason],
  }))
  const der = signCrl({ number, thisUpdate, nextUpdate, entries }, ca.issuer)
  await forgetExpired(ca.dir, nowMs)
  return Object.freeze({
    pem: toPem('X509 CRL', der) + ca.certificate.pem,
    der,
    number,
    thisUpdate,
    nextUpdate,
    serials: entries.map(({ serial }) => serial),
  })
}

/** Grows whatever the clock does; in milliseconds, so that it grows also when the file is lost. */
async function nextNumber(dir: string, nowMs: number): Promise<number> {
  const path = join(dir, NUMBER_FILE)
  const last = await readBounded(path, 4096, 'MESH_PKI_INVALID').then(readNumber, () => 0)
  const number = Math.max(last + 1, nowMs)
  await replaceFile(path, `${JSON.stringify({ number })}\n`, 0o600)
  return number
}

function readNumber(text: string): number {
  const digits = /^\{"number":(\d{1,15})\}\s*$/.exec(text)?.[1]
  return digits === undefined ? 0 : Number(digits)
}
