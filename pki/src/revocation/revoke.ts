/**
 * Revokes certificates of a CA: by the certificate itself, its serial number, or who it names. Needs no passphrase:
 * it writes down what the next list has to say.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { readBounded } from '../disk/read-bounded.ts'
import { type ParsedCertificate, parseCertificates } from '../x509/parse-certificate.ts'
import { readIssued } from './issued-records.ts'
import type { RevocationReason } from './reasons.ts'
import { type RevokedRecord, readRevoked, recordRevoked } from './revoked-records.ts'

export type RevocationTarget =
  /** A PEM file with the leaf first, or an identity directory. */
  | { readonly path: string }
  /** Hexadecimal. */
  | { readonly serial: string }
  /** Every certificate of that name that has not expired. */
  | { readonly spiffeId: string }

export interface RevokingCa {
  readonly dir: string
  readonly intermediate: ParsedCertificate
}

export interface Revocation {
  /** What was revoked now. */
  readonly revoked: readonly RevokedRecord[]
  /** What had been revoked before; it stays as it was. */
  readonly already: readonly RevokedRecord[]
}

type Found = Omit<RevokedRecord, 'reason' | 'revoked'>

const MAX_PEM_BYTES = 262_144

/** @throws MeshError MESH_PKI_NOT_FOUND when nothing fits, MESH_PKI_INVALID when it is of another CA, MESH_DISK_WRITE. */
export async function revokeCertificates(
  ca: RevokingCa,
  target: RevocationTarget,
  reason: RevocationReason,
  nowMs: number,
): Promise<Revocation> {
  const found = await find(ca, target, nowMs)
  const before = await readRevoked(ca.dir)
  const revoked: RevokedRecord[] = []
  const already: RevokedRecord[] = []
  for (const one of found) {
    const known = before.get(one.serial)
    if (known !== undefined) {
      already.push(known)
      continue
    }
    const record = Object.freeze({ ...one, reason, revoked: new Date(nowMs) })
    recordRevoked(ca.dir, record)
    revoked.push(record)
  }
  return { revoked, already }
}

async function find(
  ca: RevokingCa,
  target: RevocationTarget,
  nowMs: number,
): Promise<readonly Found[]> {
  if ('path' in target) return [await fromFile(ca, target.path)]
  const issued = await readIssued(ca.dir, nowMs)
  const wanted = 'serial' in target ? canonicalSerial(target.serial) : target.spiffeId
  const found = issued.filter((one) => wanted === ('serial' in target ? one.serial : one.spiffeId))
  if (found.length > 0) return found.map(({ fingerprint: _, ...rest }) => rest)
  throw new MeshError(
    'MESH_PKI_NOT_FOUND',
    `the CA has no record of a certificate ${JSON.stringify(wanted)} that has not expired`,
    {
      hint: 'what was issued before records were kept is revoked by its file: mesh-pki revoke tls.crt',
    },
  )
}

async function fromFile(ca: RevokingCa, path: string): Promise<Found> {
  const isDirectory = await stat(path).then(
    (found) => found.isDirectory(),
    // the reading says what is wrong
    () => false,
  )
  const file = isDirectory ? join(path, 'tls.crt') : path
  const [leaf] = parseCertificates(await readBounded(file, MAX_PEM_BYTES, 'MESH_PKI_NOT_FOUND'))
  if (leaf === undefined)
    throw new MeshError('MESH_PKI_INVALID', `there is no certificate in ${file}`)
  const ours =
    leaf.issuer.equals(ca.intermediate.subject) && leaf.x509.verify(ca.intermediate.publicKey)
  if (!ours)
    throw new MeshError('MESH_PKI_INVALID', `the certificate in ${file} is not of this CA`, {
      hint: 'name the directory of the CA that issued it with --dir',
    })
  const [uri] = leaf.names.uris
  return {
    serial: canonicalSerial(leaf.x509.serialNumber),
    spiffeId: uri ?? null,
    notAfter: leaf.notAfter,
  }
}

/** Lower case, two digits for each byte; colons, as openssl prints them, are left out. */
export function canonicalSerial(text: string): string {
  const hex = text
    .replaceAll(':', '')
    .toLowerCase()
    .replace(/^(?:00)+(?=.)/, '')
  if (!/^[0-9a-f]{1,40}$/.test(hex))
    throw new MeshError('MESH_PKI_NOT_FOUND', `${JSON.stringify(text)} is not a serial number`, {
      hint: '`mesh-pki inspect` shows the serial number of a certificate',
    })
  return hex.length % 2 === 0 ? hex : `0${hex}`
}
