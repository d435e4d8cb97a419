/**
 * Revokes certificates of a CA, including intermediates: by the certificate itself, its serial number, or its SPIFFE
 * ID. Needs no passphrase: it only records what the next list must contain.
 */
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { readPemFiles } from '../identity/read-identity.ts'
import { readIssued } from '../revocation/issued-records.ts'
import type { RevocationReason } from '../revocation/reasons.ts'
import { type RevokedRecord, readRevoked, recordRevoked } from '../revocation/revoked-records.ts'
import { canonicalSerial } from '../revocation/serial.ts'
import { issuerIdOf } from '../revocation/sign-list.ts'
import { type ParsedCertificate, parseCertificates } from '../x509/parse-certificate.ts'
import type { LoadedCa } from './load-ca.ts'

export type RevocationTarget =
  /** A PEM file with the leaf first, or an identity directory. */
  | { readonly path: string }
  /** Hexadecimal. */
  | { readonly serial: string }
  /** Every certificate with that name that has not expired. */
  | { readonly spiffeId: string }

export type RevokingCa = Pick<LoadedCa, 'dir' | 'root' | 'intermediate' | 'former'>

export interface Revocation {
  /** Revoked by this call. */
  readonly revoked: readonly RevokedRecord[]
  /** Revoked before; unchanged. */
  readonly already: readonly RevokedRecord[]
  /** True when an intermediate is among them: all its certificates are then refused. */
  readonly hasIntermediate: boolean
}

type Found = Omit<RevokedRecord, 'reason' | 'revoked'>

/**
 * @throws MeshError MESH_PKI_NOT_FOUND when nothing matches, MESH_PKI_INVALID when it is of another CA,
 *   MESH_DISK_WRITE.
 */
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
  const root = issuerIdOf(ca.root)
  const hasIntermediate = [...revoked, ...already].some(({ issuer }) => issuer === root)
  return { revoked, already, hasIntermediate }
}

async function find(
  ca: RevokingCa,
  target: RevocationTarget,
  nowMs: number,
): Promise<readonly Found[]> {
  if ('path' in target) return [await fromFile(ca, target.path)]
  const issued = [...(await readIssued(ca.dir, nowMs)), ...intermediatesOf(ca)]
  const wanted = 'serial' in target ? canonicalSerial(target.serial) : target.spiffeId
  const found = issued.filter((one) => wanted === ('serial' in target ? one.serial : one.spiffeId))
  if (found.length > 0)
    return found.map(({ serial, issuer, spiffeId, notAfter }) => ({
      serial,
      issuer,
      spiffeId,
      notAfter,
    }))
  throw new MeshError(
    'MESH_PKI_NOT_FOUND',
    `the CA has no record of a certificate ${JSON.stringify(wanted)} that has not expired`,
    {
      hint: 'what was issued before records were kept is revoked by its file: mesh-pki revoke tls.crt',
    },
  )
}

function intermediatesOf({ root, intermediate, former }: RevokingCa): readonly Found[] {
  return [intermediate, ...former.map(({ certificate }) => certificate)].map((one) =>
    foundIn(one, root),
  )
}

function foundIn(certificate: ParsedCertificate, issuer: ParsedCertificate): Found {
  return {
    serial: canonicalSerial(certificate.x509.serialNumber),
    issuer: issuerIdOf(issuer),
    spiffeId: certificate.names.uris[0] ?? null,
    notAfter: certificate.notAfter,
  }
}

const HOW_NAMED = 'name an identity directory or a PEM file, or give --serial or --spiffe-id'

async function fromFile(ca: RevokingCa, path: string): Promise<Found> {
  const { kind, certificates } = await readPemFiles(path, 'MESH_PKI_NOT_FOUND', HOW_NAMED)
  if (kind === 'ca')
    throw new MeshError('MESH_PKI_INVALID', `${path} is the directory of a CA`, {
      hint: `to revoke its intermediate, and all that it issued, name the file: ${join(path, 'intermediate.crt')}`,
    })
  const [leaf] = parseCertificates(certificates, path)
  if (leaf === undefined)
    throw new MeshError('MESH_PKI_INVALID', `there is no certificate in ${path}`)
  if (leaf.der.equals(ca.root.der))
    throw new MeshError('MESH_PKI_INVALID', 'it is the root: no list can revoke it', {
      hint: 'take it out of every ca.crt: what it stands for is refused within a second',
    })
  const issuers = [ca.intermediate, ...ca.former.map(({ certificate }) => certificate), ca.root]
  const issuer = issuers.find(
    ({ subject, publicKey }) => leaf.issuer.equals(subject) && leaf.x509.verify(publicKey),
  )
  if (issuer === undefined)
    throw new MeshError('MESH_PKI_INVALID', `the certificate in ${path} is not of this CA`, {
      hint: 'name the directory of the CA that issued it with --dir',
    })
  return foundIn(leaf, issuer)
}
