/**
 * Makes the revocation lists (CRLs) of a CA: one for each intermediate with unexpired certificates, and that of the
 * root. They are numbered, and valid until their nextUpdate. Expired certificates are removed from a list one day
 * later.
 */
import { MeshError } from '@clawmesh/proto'
import { forgetExpired } from '../revocation/issued-records.ts'
import { type RevokedRecord, readRevoked } from '../revocation/revoked-records.ts'
import {
  isListed,
  issuerIdOf,
  listIssuer,
  nextListNumber,
  type SignedList,
  signList,
} from '../revocation/sign-list.ts'
import type { ParsedCertificate } from '../x509/parse-certificate.ts'
import type { SigningKey } from '../x509/signing-key.ts'
import type { LoadedCa } from './load-ca.ts'
import { readRootList, renewRootList, revokedByRoot } from './root-list.ts'

export interface CrlRequest {
  /**
   * Validity of the intermediates' lists, in milliseconds; never beyond that of the intermediates. Default 24 hours.
   */
  readonly ttlMs?: number
  /** Key file of the root, to sign its list again. Default: root.key of the CA, where it exists. */
  readonly rootKeyFile?: string
}

export interface IssuedCrl {
  /**
   * PEM: a list for each CA, each followed by the certificate of the CA that signed it, with which a gateway verifies
   * it.
   */
  readonly pem: string
  /** The list of the intermediate alone. */
  readonly der: Buffer
  readonly number: number
  readonly thisUpdate: Date
  readonly nextUpdate: Date
  /** Serial numbers of revoked certificates in all lists, lower-case hexadecimal. */
  readonly serials: readonly string[]
  /**
   * Null when the list of the root is in `pem` and complete; otherwise the reason, to be read after "the list of the
   * root".
   */
  readonly rootListFault: string | null
}

export interface CrlCa {
  readonly loaded: LoadedCa
  /** Of the intermediate. */
  readonly privateKey: SigningKey
  readonly openFormer: (keyFile: string) => Promise<SigningKey>
  /** Null when it is not available. @throws MeshError when the given file cannot be opened */
  readonly openRoot: (file: string | undefined) => Promise<SigningKey | null>
}

const DEFAULT_CRL_TTL_MS = 24 * 3_600_000

/** Call it under the lock. @throws MeshError MESH_PKI_INVALID, MESH_DISK_WRITE. */
export async function makeCrl(ca: CrlCa, request: CrlRequest, nowMs: number): Promise<IssuedCrl> {
  const { ttlMs = DEFAULT_CRL_TTL_MS, rootKeyFile } = request
  const { dir, intermediate, former, root } = ca.loaded
  if (!Number.isFinite(ttlMs) || ttlMs < 1000) throw new TypeError('ttlMs: must be 1000 or more')
  if (nowMs >= intermediate.notAfter.getTime())
    throw new MeshError('MESH_PKI_INVALID', 'the intermediate of the CA has expired', {
      hint: 'what it issued has expired with it: mesh-pki renew intermediate',
    })
  const rootKey = await ca.openRoot(rootKeyFile)
  if (rootKey !== null) await renewRootList(ca.loaded, rootKey, nowMs)
  const records = await readRevoked(dir)
  const number = await nextListNumber(dir, nowMs)
  const list = (certificate: ParsedCertificate, privateKey: SigningKey): SignedList =>
    signList({
      issuer: listIssuer(certificate, privateKey),
      number,
      nowMs,
      endsMs: Math.min(nowMs + ttlMs, certificate.notAfter.getTime()),
      revoked: revokedBy(ca.loaded, certificate, records).filter((one) => isListed(one, nowMs)),
    })
  const own = list(intermediate, ca.privateKey)
  const parts = [{ ...own, ca: intermediate }]
  for (const { certificate, keyFile } of former)
    if (nowMs < certificate.notAfter.getTime())
      parts.push({ ...list(certificate, await ca.openFormer(keyFile)), ca: certificate })
  const rootList = await readRootList(dir)
  const rootPem = rootList === null ? '' : rootList.pem + root.pem
  await forgetExpired(dir, nowMs)
  return Object.freeze({
    pem: parts.map((one) => one.pem + one.ca.pem).join('') + rootPem,
    der: own.der,
    number,
    thisUpdate: own.thisUpdate,
    nextUpdate: own.nextUpdate,
    serials: [
      ...new Set([...parts.flatMap(({ serials }) => serials), ...(rootList?.serials ?? [])]),
    ],
    rootListFault: rootListFault(ca.loaded, rootList?.serials ?? null, records, nowMs),
  })
}

/** Records of versions that stored no issuer are in the list of each intermediate. */
function revokedBy(
  { root }: LoadedCa,
  intermediate: ParsedCertificate,
  records: ReadonlyMap<string, RevokedRecord>,
): readonly RevokedRecord[] {
  const id = issuerIdOf(intermediate)
  return [...records.values()].filter(
    ({ issuer }) => issuer === id || (issuer === null && id !== issuerIdOf(root)),
  )
}

function rootListFault(
  loaded: LoadedCa,
  listed: readonly string[] | null,
  records: ReadonlyMap<string, RevokedRecord>,
  nowMs: number,
): string | null {
  if (listed === null) return 'has never been signed'
  const missing = revokedByRoot(loaded, records)
    .filter((one) => isListed(one, nowMs) && !listed.includes(one.serial))
    .map(({ serial }) => serial)
  return missing.length === 0
    ? null
    : `does not say yet that the intermediate ${missing.join(', ')} is revoked`
}
