/**
 * Parses a certificate: node:crypto checks its form and holds its key; the extensions are read from the DER here,
 * because a name can make node's `subjectaltname` string ambiguous.
 */
import { type KeyObject, X509Certificate } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import { OID } from '../der/oids.ts'
import { parsePem, toPem } from '../der/pem.ts'
import {
  children,
  type DerValue,
  itemsOf,
  readBits,
  readBoolean,
  readDer,
  readOid,
  readSmallInteger,
  TAG,
} from '../der/read.ts'
import { type GeneralNames, readGeneralNames } from './general-names.ts'

export interface NameConstraints {
  readonly permitted: GeneralNames
  readonly excluded: GeneralNames
}

export interface ParsedCertificate {
  readonly der: Buffer
  readonly pem: string
  readonly x509: X509Certificate
  readonly publicKey: KeyObject
  /** Encoded names. */
  readonly subject: Buffer
  readonly issuer: Buffer
  readonly notBefore: Date
  readonly notAfter: Date
  /** Object identifier. */
  readonly signatureAlgorithm: string
  /** SHA-256 of the certificate, lower-case hexadecimal. */
  readonly fingerprint: string
  readonly names: GeneralNames
  readonly isCa: boolean
  /** How many CAs may follow below; null without a limit. */
  readonly pathLength: number | null
  /** The first byte of the bits, most significant bit first; null without the extension. */
  readonly keyUsage: number | null
  /** Object identifiers; null without the extension. */
  readonly extKeyUsage: readonly string[] | null
  readonly subjectKeyId: Buffer | null
  readonly authorityKeyId: Buffer | null
  readonly nameConstraints: NameConstraints | null
  /** Critical extensions that are not understood here. */
  readonly unknownCritical: readonly string[]
}

export const KEY_USAGE = Object.freeze({ digitalSignature: 0x80, keyCertSign: 0x04, crlSign: 0x02 })

const NO_NAMES: GeneralNames = { uris: [], dnsNames: [], ipAddresses: [], others: [] }

/**
 * Every certificate of a PEM text, in order. @throws MeshError MESH_PKI_INVALID when there is none, or one is damaged.
 * @param place of the text, for that error
 */
export function parseCertificates(pem: string, place = 'it'): readonly ParsedCertificate[] {
  const blocks = parsePem(pem).filter(({ label }) => label === 'CERTIFICATE')
  if (blocks.length === 0)
    throw new MeshError('MESH_PKI_INVALID', `there is no certificate in ${place}`)
  return blocks.map(({ der }) => parseCertificate(der))
}

/** @throws MeshError MESH_PKI_INVALID. */
export function parseCertificate(der: Buffer): ParsedCertificate {
  const { x509, publicKey } = toX509(der)
  const [body] = itemsOf(readDer(der), TAG.sequence)
  const fields = itemsOf(body, TAG.sequence)
  const extensions = readExtensions(fields.find(({ tag }) => tag === 0xa3))
  // version is optional: the serial number, algorithm, issuer, validity and subject follow it
  const [, algorithm, issuer, , subject] = fields[0]?.tag === 0xa0 ? fields.slice(1) : fields
  if (algorithm === undefined || issuer === undefined || subject === undefined)
    throw new MeshError('MESH_PKI_INVALID', 'the certificate is incomplete')
  const find = (id: string) => extensions.find((extension) => extension.id === id)?.value
  const san = find(OID.subjectAltName)
  const [ca, pathLength] = readBasicConstraints(find(OID.basicConstraints))
  const usage = find(OID.keyUsage)
  const purposes = find(OID.extKeyUsage)
  const ski = find(OID.subjectKeyIdentifier)
  const constraints = find(OID.nameConstraints)
  return {
    der,
    pem: toPem('CERTIFICATE', der),
    x509,
    publicKey,
    subject: subject.raw,
    issuer: issuer.raw,
    signatureAlgorithm: readOid(itemsOf(algorithm, TAG.sequence)[0]),
    notBefore: x509.validFromDate,
    notAfter: x509.validToDate,
    fingerprint: x509.fingerprint256.replaceAll(':', '').toLowerCase(),
    names: san === undefined ? NO_NAMES : readGeneralNames(itemsOf(san, TAG.sequence)),
    isCa: ca,
    pathLength,
    keyUsage: usage === undefined ? null : (readBits(usage)[0] ?? 0),
    extKeyUsage: purposes === undefined ? null : itemsOf(purposes, TAG.sequence).map(readOid),
    subjectKeyId: ski?.tag === TAG.octetString ? ski.content : null,
    authorityKeyId: readAuthorityKeyId(find(OID.authorityKeyIdentifier)),
    nameConstraints: constraints === undefined ? null : readNameConstraints(constraints),
    unknownCritical: extensions
      .filter(({ id, critical }) => critical && !UNDERSTOOD.includes(id))
      .map(({ id }) => id),
  }
}

/**
 * The critical extensions that OpenSSL accepts (X509_supported_extension), since it judges in TLS: the key identifiers
 * are not among them, and must not be critical (RFC 5280, sections 4.2.1.1 and 4.2.1.2).
 */
const UNDERSTOOD: readonly string[] = [
  OID.subjectAltName,
  OID.basicConstraints,
  OID.keyUsage,
  OID.extKeyUsage,
  OID.nameConstraints,
  OID.certificatePolicies,
  OID.crlDistributionPoints,
  OID.policyMappings,
  OID.policyConstraints,
  OID.inhibitAnyPolicy,
]

export interface Extension {
  readonly id: string
  readonly critical: boolean
  readonly value: DerValue
}

function readExtensions(outer: DerValue | undefined): readonly Extension[] {
  if (outer === undefined) return []
  const [list] = children(outer)
  return readExtensionList(list)
}

/** The extensions of a SEQUENCE OF Extension; each may occur once. */
export function readExtensionList(list: DerValue | undefined): readonly Extension[] {
  const extensions = itemsOf(list, TAG.sequence).map((item) => {
    const [id, second, third] = itemsOf(item, TAG.sequence)
    const critical = third !== undefined && readBoolean(second)
    const [value] = [third ?? second].map((octets) =>
      readDer(octets?.tag === TAG.octetString ? octets.content : Buffer.alloc(0)),
    )
    if (value === undefined) throw new MeshError('MESH_PKI_INVALID', 'an extension is empty')
    return { id: readOid(id), critical, value }
  })
  if (new Set(extensions.map(({ id }) => id)).size < extensions.length)
    throw new MeshError('MESH_PKI_INVALID', 'an extension stands twice')
  return extensions
}

function readBasicConstraints(value: DerValue | undefined): [boolean, number | null] {
  if (value === undefined) return [false, null]
  const [ca, pathLength] = itemsOf(value, TAG.sequence)
  if (ca === undefined) return [false, null]
  return [readBoolean(ca), pathLength === undefined ? null : readSmallInteger(pathLength)]
}

function readAuthorityKeyId(value: DerValue | undefined): Buffer | null {
  if (value === undefined) return null
  return itemsOf(value, TAG.sequence).find(({ tag }) => tag === 0x80)?.content ?? null
}

function readNameConstraints(value: DerValue): NameConstraints {
  const lists = itemsOf(value, TAG.sequence)
  const subtrees = (tag: number) => {
    const list = lists.find((each) => each.tag === tag)
    if (list === undefined) return NO_NAMES
    const bases = children(list).map((subtree) => itemsOf(subtree, TAG.sequence)[0])
    return readGeneralNames(bases.filter((base) => base !== undefined))
  }
  return { permitted: subtrees(0xa0), excluded: subtrees(0xa1) }
}

function toX509(der: Buffer): { x509: X509Certificate; publicKey: KeyObject } {
  try {
    const x509 = new X509Certificate(der)
    // reading the key throws for types that OpenSSL does not know
    return { x509, publicKey: x509.publicKey }
  } catch (cause) {
    throw new MeshError('MESH_PKI_INVALID', 'a certificate cannot be parsed', { cause })
  }
}
