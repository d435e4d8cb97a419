/** Whether a revocation list is by a CA of the mesh, and which certificates it is about. */
import { verify, X509Certificate } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import type { TrustedRoot } from '../../identity/snapshot.ts'
import { subjectOf } from '../certification-path.ts'
import { DER_TAG, DerError, expectDer, readDer } from '../der.ts'
import { keyIdentity } from '../peer-certificate.ts'
import { findExtension } from '../subject-alt-names.ts'
import type { Crl } from './parse-crl.ts'

export interface VerifiedCrl extends Crl {
  /** The key that signed it: certificates with this `issuerKey` are those that it is about. */
  readonly issuerKey: string
}

/** Type of key and hash, by the content of the OBJECT IDENTIFIER in hexadecimal. */
const ALGORITHMS: ReadonlyMap<string, readonly [type: string, hash: string | null]> = new Map([
  ['2a8648ce3d040302', ['ec', 'sha256']],
  ['2a8648ce3d040303', ['ec', 'sha384']],
  ['2a8648ce3d040304', ['ec', 'sha512']],
  ['2a864886f70d01010b', ['rsa', 'sha256']],
  ['2a864886f70d01010c', ['rsa', 'sha384']],
  ['2a864886f70d01010d', ['rsa', 'sha512']],
  ['2b6570', ['ed25519', null]],
])
const KEY_USAGE = Buffer.from([0x55, 0x1d, 0x0f])
const CRL_SIGN = 0x02
const MAX_DEPTH = 5

/**
 * @param candidates certificates that may have signed it; trusted only when they lead to a root of the bundle
 * @throws MeshError MESH_REVOCATION_INVALID
 */
export function verifyCrl(
  crl: Crl,
  candidates: readonly X509Certificate[],
  roots: readonly TrustedRoot[],
): VerifiedCrl {
  const anchors = roots.map(({ pem }) => new X509Certificate(pem))
  const named = [...anchors, ...candidates].filter((one) => isIssuer(one, crl))
  if (named.length === 0)
    throw invalid('no certificate of the CA that signed it is known', {
      hint: 'append the certificate of that CA to the file, as `mesh-pki crl` does',
    })
  const trusted = named.filter((one) => leadsToRoot(one, candidates, anchors, MAX_DEPTH))
  if (trusted.length === 0) throw invalid('the CA that signed it does not lead to a root in ca.crt')
  const signer = trusted.find((one) => hasSigned(one, crl))
  if (signer === undefined) throw invalid('its signature is not by the CA that it names')
  return Object.freeze({ ...crl, issuerKey: keyIdentity(signer) })
}

function isIssuer(certificate: X509Certificate, crl: Crl): boolean {
  try {
    if (!certificate.ca || Buffer.compare(subjectOf(certificate), crl.issuer) !== 0) return false
    const usage = findExtension(certificate.raw, KEY_USAGE)
    if (usage === null) return true
    const bits = expectDer(readDer(usage), DER_TAG.BIT_STRING)
    return ((bits[1] ?? 0) & CRL_SIGN) !== 0
  } catch (error) {
    // a certificate that cannot be read has signed nothing
    if (error instanceof DerError) return false
    throw error
  }
}

function leadsToRoot(
  certificate: X509Certificate,
  between: readonly X509Certificate[],
  anchors: readonly X509Certificate[],
  depth: number,
): boolean {
  if (depth === 0) return false
  if (anchors.some((root) => root.raw.equals(certificate.raw) || issued(root, certificate)))
    return true
  return between.some(
    (one) => one.ca && issued(one, certificate) && leadsToRoot(one, between, anchors, depth - 1),
  )
}

function issued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

function hasSigned(certificate: X509Certificate, { signature }: Crl): boolean {
  const [type, hash = null] = ALGORITHMS.get(signature.algorithm) ?? []
  const { publicKey } = certificate
  if (type === undefined || publicKey.asymmetricKeyType !== type) return false
  return verify(hash, signature.signed, publicKey, signature.bytes)
}

function invalid(message: string, options: { readonly hint?: string } = {}): MeshError {
  return new MeshError(
    'MESH_REVOCATION_INVALID',
    `a list of revoked certificates: ${message}`,
    options,
  )
}
