/** Whether a revocation list is by a CA of the mesh, and which certificates it is about. */
import { X509Certificate } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import { anchorIdentity, findPath, subjectOf } from '../certification-path.ts'
import { DER_TAG, DerError, expectDer, readDer } from '../der.ts'
import type { TrustedRoot } from '../identity-snapshot.ts'
import { keyIdentity } from '../peer-certificate.ts'
import { findExtension } from '../subject-alt-names.ts'
import type { Crl } from './parse-crl.ts'
import { isSignedBy, schemeFault } from './signature-scheme.ts'

export interface VerifiedCrl extends Crl {
  /** The key that signed it: certificates with this `issuerKey` are those that it is about. */
  readonly issuerKey: string
  /** When the certificate of that CA ends. */
  readonly issuerNotAfter: Date
  /** Name and key of the root that the CA leads to, see `anchorIdentity`. */
  readonly anchor: string
}

const KEY_USAGE = Buffer.from([0x55, 0x1d, 0x0f])
const CRL_SIGN = 0x02

/**
 * @param candidates certificates that may have signed it; trusted only when they lead to a root of the bundle
 * @throws MeshError MESH_REVOCATION_INVALID
 */
export function verifyCrl(
  crl: Crl,
  candidates: readonly X509Certificate[],
  roots: readonly TrustedRoot[],
): VerifiedCrl {
  return createCrlVerifier(candidates, roots)(crl)
}

/** The same for several lists, with the ways to the roots found once. */
export function createCrlVerifier(
  candidates: readonly X509Certificate[],
  roots: readonly TrustedRoot[],
): (crl: Crl) => VerifiedCrl {
  const anchors = roots.map(({ pem }) => ({ certificate: new X509Certificate(pem) }))
  const known = [...anchors.map(({ certificate }) => certificate), ...candidates]
  const found = new Map<X509Certificate, string | null>()
  const anchorOf = (ca: X509Certificate): string | null => {
    const before = found.get(ca)
    if (before !== undefined) return before
    const isRoot = anchors.some(({ certificate }) => certificate.raw.equals(ca.raw))
    // a list by a CA that has ended still says what is revoked
    const question = { leaf: ca, between: candidates, anchors, nowMs: null }
    const top = isRoot ? ca : readable(() => findPath(question)?.anchor.certificate ?? null)
    const anchor = top === null ? null : readable(() => anchorIdentity(top))
    found.set(ca, anchor)
    return anchor
  }

  return (crl) => {
    const fault = schemeFault(crl.signature)
    if (fault !== null)
      throw new MeshError('MESH_REVOCATION_INVALID', `a list of revoked certificates ${fault}`, {
        hint: 'have the CA sign by ECDSA, RSA or RSA-PSS with SHA-256 or better, or by Ed25519',
      })
    const named = known.filter((one) => isIssuer(one, crl))
    if (named.length === 0)
      throw invalid('no certificate of the CA that signed it is known', {
        hint: 'append the certificate of that CA to the file, as `mesh-pki crl` does',
      })
    const trusted = named.filter((one) => anchorOf(one) !== null)
    if (trusted.length === 0)
      throw invalid('the CA that signed it does not lead to a root in ca.crt')
    const signer = trusted.find(({ publicKey }) => isSignedBy(publicKey, crl))
    if (signer === undefined) throw invalid('its signature is not by the CA that it names')
    return Object.freeze({
      ...crl,
      issuerKey: keyIdentity(signer),
      issuerNotAfter: signer.validToDate,
      anchor: anchorOf(signer) ?? '',
    })
  }
}

function isIssuer(certificate: X509Certificate, crl: Crl): boolean {
  const is = readable(() => {
    if (!certificate.ca || Buffer.compare(subjectOf(certificate), crl.issuer) !== 0) return false
    const usage = findExtension(certificate.raw, KEY_USAGE)
    if (usage === null) return true
    const bits = expectDer(readDer(usage), DER_TAG.BIT_STRING)
    return ((bits[1] ?? 0) & CRL_SIGN) !== 0
  })
  return is === true
}

/** A certificate that cannot be read has signed nothing, and leads nowhere. */
function readable<T>(read: () => T): T | null {
  try {
    return read()
  } catch (error) {
    if (error instanceof DerError) return null
    throw error
  }
}

function invalid(message: string, options: { readonly hint?: string } = {}): MeshError {
  return new MeshError(
    'MESH_REVOCATION_INVALID',
    `a list of revoked certificates: ${message}`,
    options,
  )
}
