/**
 * Who a certificate says its holder is, after the handshake has proven that the holder has its key.
 * Reading costs crypto and is done once for a connection; judging is cheap and is done again for every stream.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { type ErrorCode, type Identity, MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import { anchorIdentity, findPath, MAX_CHAIN } from './certification-path.ts'
import { DerError } from './der.ts'
import { fingerprintOf } from './fingerprint.ts'
import type { IdentitySnapshot, TrustedRoot } from './identity-snapshot.ts'
import { checkLeaf } from './leaf-rules.ts'
import { readSubjectAltNames } from './subject-alt-names.ts'

export interface PeerCertificate {
  readonly identity: Identity
  /** DNS SANs, lower case. */
  readonly dnsNames: readonly string[]
  readonly notBefore: Date
  /** When it ends: its own end, or that of a CA between it and the root which ends earlier. */
  readonly notAfter: Date
  /** SHA-256 of the leaf, lower-case hexadecimal. */
  readonly fingerprint: string
  /** Lower-case hexadecimal. */
  readonly serial: string
  /** SHA-256 of the root that the chain leads to, lower-case hexadecimal. */
  readonly rootFingerprint: string
  /** Name and key of that root, see `anchorIdentity`: another certificate of the same CA serves as well. */
  readonly anchor: string
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

/**
 * Reads the certificate of a peer whose chain OpenSSL has verified; finds again, by signature, the root it leads to.
 * @param chain leaf first, as the handshake brought it
 * @throws MeshError MESH_IDENTITY_UNTRUSTED, NOT_LEAF, EXPIRED, NOT_YET_VALID, AMBIGUOUS or MALFORMED
 */
export function readCertificate(
  chain: readonly X509Certificate[],
  options: ReadCertificateOptions,
): PeerCertificate {
  const [leaf] = chain
  if (leaf === undefined) throw new MeshError('MESH_IDENTITY_NO_CERTIFICATE')
  const nowMs = options.nowMs ?? Date.now()
  checkLeaf(leaf)
  const { identity, dnsNames } = readIdentity(leaf, options.spiffe)
  const life = { notBefore: leaf.validFromDate, notAfter: leaf.validToDate }
  const untimely = judgeTime(life, nowMs)
  if (untimely !== null) throw new MeshError(untimely)
  return Object.freeze({
    identity,
    dnsNames,
    ...life,
    fingerprint: fingerprintOf(leaf),
    serial: leaf.serialNumber.toLowerCase(),
    ...followChain(chain, options.roots, nowMs),
  })
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
 * Judges again a certificate read earlier: has it not ended, is its root still in the bundle?
 * That it has begun was judged by `readCertificate`; a clock that is set back does not undo it.
 * Null when it is good. No crypto, no allocation: it runs for every stream.
 */
export function judgePeer(
  peer: Pick<PeerCertificate, 'notAfter' | 'rootFingerprint' | 'anchor'>,
  snapshot: Pick<IdentitySnapshot, 'roots'>,
  nowMs: number,
): ErrorCode | null {
  // written so that an invalid date (NaN) is refused
  if (!(nowMs <= peer.notAfter.getTime())) return 'MESH_IDENTITY_EXPIRED'
  for (const root of snapshot.roots)
    if (root.fingerprint === peer.rootFingerprint && root.notAfter.getTime() >= nowMs) return null
  // a root may have been replaced by another certificate of the same CA
  for (const root of snapshot.roots)
    if (root.notAfter.getTime() >= nowMs && anchorOf(root) === peer.anchor) return null
  return 'MESH_IDENTITY_UNTRUSTED'
}

/** Name and key of a root, see `anchorIdentity`. */
export function anchorOf({ anchor, pem }: TrustedRoot): string {
  return anchor ?? anchorIdentity(new X509Certificate(pem))
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

/**
 * What the chain of a leaf leads to, by name and signature; OpenSSL does not say which way it went.
 * @throws MeshError MESH_IDENTITY_UNTRUSTED
 */
export function followChain(
  chain: readonly X509Certificate[],
  roots: readonly TrustedRoot[],
  nowMs: number,
): Pick<PeerCertificate, 'notAfter' | 'rootFingerprint' | 'anchor' | 'links'> {
  const [leaf, ...between] = chain
  if (leaf === undefined || chain.length > MAX_CHAIN) throw new MeshError('MESH_IDENTITY_UNTRUSTED')
  const anchors = roots.map((root) => ({ root, certificate: new X509Certificate(root.pem) }))
  try {
    const path = findPath({ leaf, between, anchors, nowMs })
    if (path === null) throw new MeshError('MESH_IDENTITY_UNTRUSTED')
    const { certificates, anchor } = path
    const ends = certificates.map(({ validToDate }) => validToDate.getTime())
    return {
      notAfter: new Date(Math.min(...ends)),
      rootFingerprint: anchor.root.fingerprint,
      anchor: anchorIdentity(anchor.certificate),
      links: Object.freeze(
        certificates.map((certificate, depth) =>
          linkOf(certificate, certificates[depth + 1] ?? anchor.certificate),
        ),
      ),
    }
  } catch (cause) {
    if (!(cause instanceof DerError)) throw cause
    throw new MeshError('MESH_IDENTITY_UNTRUSTED', undefined, { cause })
  }
}

function linkOf(certificate: X509Certificate, issuer: X509Certificate): CertificateLink {
  return Object.freeze({
    fingerprint: fingerprintOf(certificate),
    serial: canonicalSerial(certificate.serialNumber),
    issuerKey: keyIdentity(issuer),
  })
}
