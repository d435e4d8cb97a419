/** Issues leaf certificates: for 24 hours, backdated a minute, never beyond the life of the CA that signs them. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { MeshError, Secret } from '@clawmesh/proto'
import type { IssuedRecord } from '../revocation/issued-records.ts'
import { canonicalSerial } from '../revocation/serial.ts'
import { issuerIdOf } from '../revocation/sign-list.ts'
import { distinguishedName, type Issuer, signCertificate } from '../x509/certificate.ts'
import {
  endEntityConstraints,
  endEntityKeyUsage,
  subjectAltName,
  tlsExtendedKeyUsage,
} from '../x509/extensions.ts'
import { parseCertificate } from '../x509/parse-certificate.ts'
import type { AgentNameRequest, GatewayNameRequest, IssuedNames, NamingCa } from './names.ts'

export interface Lifetime {
  /** Validity from now, or from notBefore when that is given, in milliseconds. Default 24 hours. */
  readonly ttlMs?: number
  /** The start of validity. Default: a minute ago. */
  readonly notBefore?: Date
}

export type AgentRequest = AgentNameRequest & Lifetime
export type GatewayRequest = GatewayNameRequest & Lifetime

export interface IssuedCertificate {
  /** PEM: the leaf, then the intermediate. */
  readonly certificateChain: string
  /** PEM: the roots that the other side must trust. */
  readonly roots: string
  readonly spiffeId: string
  readonly dnsNames: readonly string[]
  readonly notBefore: Date
  readonly notAfter: Date
  /** SHA-256 of the leaf, lower-case hexadecimal. */
  readonly fingerprint: string
}

export interface Issued extends IssuedCertificate {
  /** PKCS #8, PEM. */
  readonly privateKey: Secret<string>
}

export interface IssuingCa extends NamingCa {
  readonly issuer: Issuer
  /** PEM. */
  readonly roots: string
  /** Public keys of its CAs: root, intermediate and former ones. No leaf may have one of them. */
  readonly ownKeys: readonly KeyObject[]
  /** True when its certificate is revoked: it then issues nothing. */
  readonly isRevoked: boolean
  /** Records a certificate before it is handed out. @throws MeshError MESH_DISK_WRITE; it is then not handed out. */
  readonly record: (issued: IssuedRecord) => void
}

export const DEFAULT_TTL_MS = 24 * 3_600_000
const BACKDATE_MS = 60_000

/** Creates a P-256 key, and a certificate for it. */
export function issueIdentity(
  ca: IssuingCa,
  names: IssuedNames,
  lifetime: Lifetime,
  nowMs: number,
): Issued {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certificate = issueCertificate(ca, names, publicKey, lifetime, nowMs)
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
  return Object.freeze({ ...certificate, privateKey: new Secret(pem.toString()) })
}

/**
 * @throws MeshError MESH_PKI_INVALID when the CA itself has expired, MESH_DISK_WRITE when the record cannot be written.
 */
export function issueCertificate(
  ca: IssuingCa,
  names: IssuedNames,
  publicKey: KeyObject,
  lifetime: Lifetime,
  nowMs: number,
): IssuedCertificate {
  if (ca.isRevoked)
    throw new MeshError('MESH_PKI_INVALID', 'the intermediate of the CA is revoked', {
      hint: 'what it issues is refused: mesh-pki renew intermediate --new-key',
    })
  const { notBefore, notAfter } = validity(ca, lifetime, nowMs)
  const der = signCertificate(
    {
      subject: distinguishedName(names.subject),
      publicKey,
      notBefore,
      notAfter,
      extensions: [
        endEntityConstraints(),
        endEntityKeyUsage(),
        tlsExtendedKeyUsage(),
        subjectAltName({ ...names, uris: [names.spiffeId] }),
      ],
    },
    ca.issuer,
  )
  const leaf = parseCertificate(der)
  ca.record({
    serial: canonicalSerial(leaf.x509.serialNumber),
    issuer: issuerIdOf(ca.certificate),
    fingerprint: leaf.fingerprint,
    spiffeId: names.spiffeId,
    notAfter: leaf.notAfter,
  })
  return Object.freeze({
    certificateChain: leaf.pem + ca.certificate.pem,
    roots: ca.roots,
    spiffeId: names.spiffeId,
    dnsNames: names.dnsNames,
    notBefore: leaf.notBefore,
    notAfter: leaf.notAfter,
    fingerprint: leaf.fingerprint,
  })
}

function validity(
  ca: IssuingCa,
  { ttlMs = DEFAULT_TTL_MS, notBefore }: Lifetime,
  nowMs: number,
): { notBefore: Date; notAfter: Date } {
  if (!Number.isFinite(ttlMs) || ttlMs < 1000) throw new TypeError('ttlMs: must be 1000 or more')
  const ca0 = ca.certificate.notBefore.getTime()
  const ca1 = ca.certificate.notAfter.getTime()
  if (nowMs < ca0 || nowMs >= ca1)
    throw new MeshError(
      'MESH_PKI_INVALID',
      `the intermediate of the CA is good from ${ca.certificate.notBefore.toISOString()} to ${ca.certificate.notAfter.toISOString()} only`,
      { hint: 'check the clock of this machine; if it is right: mesh-pki renew intermediate' },
    )
  const start = notBefore?.getTime() ?? Math.max(nowMs - BACKDATE_MS, ca0)
  const end = Math.min((notBefore?.getTime() ?? nowMs) + ttlMs, ca1)
  if (Number.isNaN(start) || end <= start)
    throw new TypeError('notBefore: must be a date before the intermediate of the CA ends')
  return { notBefore: new Date(start), notAfter: new Date(end) }
}
