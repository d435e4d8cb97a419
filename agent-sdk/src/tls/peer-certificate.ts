/**
 * Who a certificate says its holder is, after the handshake has proven that the holder has its key.
 * Reading costs crypto and is done once for a connection; judging is cheap and is done again for every stream.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { type ErrorCode, type Identity, MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import type { IdentitySnapshot, TrustedRoot } from '../identity/snapshot.ts'
import { fingerprintOf } from './fingerprint.ts'
import { readSubjectAltNames } from './subject-alt-names.ts'

export interface PeerCertificate {
  readonly identity: Identity
  /** DNS SANs, lower case. */
  readonly dnsNames: readonly string[]
  readonly notBefore: Date
  readonly notAfter: Date
  /** SHA-256 of the leaf, lower-case hexadecimal. */
  readonly fingerprint: string
  /** Lower-case hexadecimal. */
  readonly serial: string
  /** SHA-256 of the root that the chain leads to, lower-case hexadecimal. */
  readonly rootFingerprint: string
  /** The certificates of the chain below the root, leaf first: what a revocation can be about. */
  readonly links: readonly CertificateLink[]
}

export interface CertificateLink {
  /** SHA-256 of the certificate, lower-case hexadecimal. */
  readonly fingerprint: string
  /** Lower-case hexadecimal, without leading zeros. */
  readonly serial: string
  /** The key that signed it, see `keyIdentity`. */
  readonly issuerKey: string
}

export interface ReadCertificateOptions {
  readonly spiffe: SpiffeTemplate
  /** The trust bundle. */
  readonly roots: readonly TrustedRoot[]
  /** Milliseconds since the epoch. Default: now. */
  readonly nowMs?: number
}

/** Longer chains do not occur, and each link costs a signature. */
const MAX_CHAIN = 10

/**
 * Reads the certificate of a peer whose chain OpenSSL has verified; finds again, by signature, the root it leads to.
 * @param chain leaf first, as the handshake brought it
 * @throws MeshError MESH_IDENTITY_UNTRUSTED, EXPIRED, NOT_YET_VALID, AMBIGUOUS or MALFORMED
 */
export function readCertificate(
  chain: readonly X509Certificate[],
  options: ReadCertificateOptions,
): PeerCertificate {
  const [leaf] = chain
  if (leaf === undefined) throw new MeshError('MESH_IDENTITY_NO_CERTIFICATE')
  const { identity, dnsNames } = readIdentity(leaf, options.spiffe)
  const peer = Object.freeze({
    identity,
    dnsNames,
    notBefore: leaf.validFromDate,
    notAfter: leaf.validToDate,
    fingerprint: fingerprintOf(leaf),
    serial: leaf.serialNumber.toLowerCase(),
    ...findRoot(chain, options.roots),
  })
  const untimely = judgeTime(peer, options.nowMs ?? Date.now())
  if (untimely !== null) throw new MeshError(untimely)
  return peer
}

/** Who a certificate names: exactly one URI SAN, a SPIFFE ID of the template. @throws MeshError */
export function readIdentity(
  certificate: X509Certificate,
  spiffe: SpiffeTemplate,
): { readonly identity: Identity; readonly dnsNames: readonly string[] } {
  const { uris, dnsNames } = readSubjectAltNames(certificate.raw)
  const [uri] = uris
  if (uri === undefined || uris.length !== 1) throw new MeshError('MESH_IDENTITY_AMBIGUOUS')
  const identity = spiffe.parse(uri)
  if (identity === null) throw new MeshError('MESH_IDENTITY_MALFORMED')
  return { identity, dnsNames: Object.freeze([...dnsNames]) }
}

/**
 * Judges again a certificate read earlier: still in time, its root still in the bundle?
 * Null when it is good. No crypto, no allocation: it runs for every stream.
 */
export function judgePeer(
  peer: PeerCertificate,
  snapshot: Pick<IdentitySnapshot, 'roots'>,
  nowMs: number,
): ErrorCode | null {
  const untimely = judgeTime(peer, nowMs)
  if (untimely !== null) return untimely
  for (const root of snapshot.roots) {
    if (root.fingerprint === peer.rootFingerprint)
      return root.notAfter.getTime() < nowMs ? 'MESH_IDENTITY_UNTRUSTED' : null
  }
  return 'MESH_IDENTITY_UNTRUSTED'
}

function judgeTime(
  peer: Pick<PeerCertificate, 'notBefore' | 'notAfter'>,
  nowMs: number,
): ErrorCode | null {
  // written so that an invalid date (NaN) is refused
  if (!(nowMs >= peer.notBefore.getTime())) return 'MESH_IDENTITY_NOT_YET_VALID'
  if (!(nowMs <= peer.notAfter.getTime())) return 'MESH_IDENTITY_EXPIRED'
  return null
}

/** SHA-256 of the public key (SubjectPublicKeyInfo), lower-case hexadecimal: tells CAs apart that share a name. */
export function keyIdentity(certificate: X509Certificate): string {
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(spki).digest('hex')
}

/** A serial number as node:crypto writes it, in its one form here. */
export function canonicalSerial(hex: string): string {
  return hex.toLowerCase().replace(/^(?:00)+(?=..)/, '')
}

function findRoot(
  chain: readonly X509Certificate[],
  roots: readonly TrustedRoot[],
): Pick<PeerCertificate, 'rootFingerprint' | 'links'> {
  const links: CertificateLink[] = []
  const link = (certificate: X509Certificate, issuer: X509Certificate) => {
    links.push(
      Object.freeze({
        fingerprint: fingerprintOf(certificate),
        serial: canonicalSerial(certificate.serialNumber),
        issuerKey: keyIdentity(issuer),
      }),
    )
  }
  const untrusted = () => new MeshError('MESH_IDENTITY_UNTRUSTED')
  if (chain.length > MAX_CHAIN) throw untrusted()
  const anchors = roots.map(({ pem, fingerprint }) => {
    return { certificate: new X509Certificate(pem), fingerprint }
  })
  for (const [depth, certificate] of chain.entries()) {
    const anchor = anchors.find((root) => issued(root.certificate, certificate))
    if (anchor !== undefined) {
      link(certificate, anchor.certificate)
      return { rootFingerprint: anchor.fingerprint, links: Object.freeze(links) }
    }
    const issuer = chain[depth + 1]
    if (issuer === undefined || !issued(issuer, certificate)) throw untrusted()
    link(certificate, issuer)
  }
  throw untrusted()
}

function issued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}
