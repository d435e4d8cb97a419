/**
 * What the certificate of an agent or gateway may not be, and what it must be good for. TLS alone lets a CA act as a
 * client or server: OpenSSL judges the purpose of the end entity, not that it is one.
 */
import type { X509Certificate } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import { DER_TAG, DerError, expectDer, readDer, readDerList } from './der.ts'
import { findExtension } from './subject-alt-names.ts'

/** 2.5.29.19, .15 and .37 */
const BASIC_CONSTRAINTS = Buffer.from([0x55, 0x1d, 0x13])
const KEY_USAGE = Buffer.from([0x55, 0x1d, 0x0f])
const EXTENDED_KEY_USAGE = Buffer.from([0x55, 0x1d, 0x25])

/** Bits of the first byte of KeyUsage (RFC 5280, section 4.2.1.3). */
const DIGITAL_SIGNATURE = 0x80
const KEY_CERT_SIGN = 0x04
const CRL_SIGN = 0x02

/** 1.3.6.1.5.5.7.3.n, by the content of the OBJECT IDENTIFIER in hexadecimal. */
const PURPOSES = [
  ['2b06010505070301', 'servers', 'serverAuth'],
  ['2b06010505070302', 'clients', 'clientAuth'],
] as const

/**
 * Refuses a certificate that may sign certificates or lists: CA:TRUE, keyCertSign or cRLSign (X509-SVID, section 5.2;
 * RFC 5280, sections 4.2.1.3 and 4.2.1.9), and one whose key may not sign handshakes (RFC 8446, section 4.4.2.2).
 * @throws MeshError MESH_IDENTITY_NOT_LEAF, MESH_IDENTITY_UNTRUSTED, MESH_IDENTITY_MALFORMED
 */
export function checkLeaf(certificate: X509Certificate): void {
  const { ca, usage } = reading(() => readConstraints(certificate))
  if (ca) throw notLeaf('its basic constraints have CA:TRUE')
  if (usage === null) return
  if ((usage & KEY_CERT_SIGN) !== 0) throw notLeaf('its key usage has keyCertSign')
  if ((usage & CRL_SIGN) !== 0) throw notLeaf('its key usage has cRLSign')
  if ((usage & DIGITAL_SIGNATURE) === 0)
    throw new MeshError(
      'MESH_IDENTITY_UNTRUSTED',
      'the key of the certificate may not sign a handshake: its key usage lacks digitalSignature',
      { hint: 'issue it with the key usage digitalSignature' },
    )
}

/**
 * Refuses a certificate that is not for both sides of a connection: an agent and a gateway are server and client.
 * `anyExtendedKeyUsage` alone does not count, as in OpenSSL.
 * @throws MeshError MESH_IDENTITY_UNTRUSTED, MESH_IDENTITY_MALFORMED
 */
export function checkPurposes(certificate: X509Certificate): void {
  const purposes = reading(() => {
    const extension = findExtension(certificate.raw, EXTENDED_KEY_USAGE)
    if (extension === null) return null
    const list = readDerList(expectDer(readDer(extension), DER_TAG.SEQUENCE))
    return list.map((one) => Buffer.from(expectDer(one, DER_TAG.OID)).toString('hex'))
  })
  if (purposes === null) return
  for (const [id, who, name] of PURPOSES)
    if (!purposes.includes(id))
      throw new MeshError(
        'MESH_IDENTITY_UNTRUSTED',
        `the certificate is not for TLS ${who}: its extended key usage lacks ${name}`,
        { hint: 'issue it with both serverAuth and clientAuth' },
      )
}

/** How many CAs may stand below this CA (RFC 5280, section 4.2.1.9); infinite when it does not say. @throws DerError */
export function pathLengthOf(certificate: X509Certificate): number {
  const [, length] = basicConstraints(certificate)
  if (length === undefined) return Number.POSITIVE_INFINITY
  const bytes = expectDer(length, DER_TAG.INTEGER)
  // beyond one byte it limits nothing that occurs; a negative one is no number of CAs
  if ((bytes[0] ?? 0x80) >= 0x80) throw new DerError('a path length is negative or empty')
  return bytes.length === 1 ? (bytes[0] ?? 0) : Number.POSITIVE_INFINITY
}

function readConstraints(certificate: X509Certificate): { ca: boolean; usage: number | null } {
  const [flag] = basicConstraints(certificate)
  const ca = flag?.tag === DER_TAG.BOOLEAN && flag.content[0] !== 0
  const extension = findExtension(certificate.raw, KEY_USAGE)
  if (extension === null) return { ca, usage: null }
  return { ca, usage: expectDer(readDer(extension), DER_TAG.BIT_STRING)[1] ?? 0 }
}

function basicConstraints(certificate: X509Certificate) {
  const extension = findExtension(certificate.raw, BASIC_CONSTRAINTS)
  if (extension === null) return []
  return readDerList(expectDer(readDer(extension), DER_TAG.SEQUENCE))
}

function reading<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (!(cause instanceof DerError)) throw cause
    throw new MeshError(
      'MESH_IDENTITY_MALFORMED',
      'the extensions of the certificate are not properly encoded',
      { cause },
    )
  }
}

function notLeaf(why: string): MeshError {
  return new MeshError('MESH_IDENTITY_NOT_LEAF', `the certificate is one of a CA: ${why}`)
}
