/**
 * One validated identity from a directory: all files are read, parsed and proven to fit together before the identity is returned.
 * Reads and nothing else; watching is open-identity.ts.
 */
import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto'
import { MeshError, Secret, type SpiffeTemplate } from '@clawmesh/proto'
import { checkOptions, optionNames } from '../check-options.ts'
import { anchorIdentity, MAX_CHAIN } from '../tls/certification-path.ts'
import { DerError } from '../tls/der.ts'
import { fingerprintOf } from '../tls/fingerprint.ts'
import type { IdentitySnapshot, TrustedRoot } from '../tls/identity-snapshot.ts'
import { checkLeaf, checkPurposes } from '../tls/leaf-rules.ts'
import { type CertificateLink, followChain, readIdentity } from '../tls/peer-certificate.ts'
import { readSubjectAltNames } from '../tls/subject-alt-names.ts'
import { contextOptions } from '../tls/tls-options.ts'
import { parseCertificates, withoutByteOrderMark } from './pem.ts'
import { proveChain } from './prove-chain.ts'
import { type IdentityFiles, readIdentityFiles } from './read-files.ts'

export interface LoadIdentityOptions {
  /** Which SPIFFE IDs name an agent or a gateway. */
  readonly spiffe: SpiffeTemplate
  /** Milliseconds since the epoch. Default: now. */
  readonly now?: () => number
}

const NAMES = optionNames<LoadIdentityOptions>({ spiffe: true, now: true })
const MAX_ROOTS = 200

/**
 * Reads `tls.crt`, `tls.key` and `ca.crt` of a directory and proves them.
 * @throws MeshError MESH_IDENTITY_UNREADABLE, INVALID, EXPIRED, NOT_YET_VALID, NOT_LEAF, UNTRUSTED, AMBIGUOUS or MALFORMED; TypeError for an option that there is not
 */
export async function loadIdentity(
  dir: string,
  options: LoadIdentityOptions,
): Promise<IdentitySnapshot> {
  checkOptions(options, NAMES, 'loadIdentity')
  return proveIdentity(await readIdentityFiles(dir), { ...options, generation: 1 })
}

/** The snapshot that the files make. @throws MeshError as `loadIdentity` does */
export async function proveIdentity(
  files: IdentityFiles,
  options: LoadIdentityOptions & { readonly generation: number },
): Promise<IdentitySnapshot> {
  const { spiffe, now = Date.now, generation } = options
  const chain = parseCertificates(files.certificate, 'tls.crt', MAX_CHAIN)
  const roots = parseRoots(files.roots)
  const [leaf] = chain
  if (leaf === undefined) throw new MeshError('MESH_IDENTITY_INVALID', 'tls.crt: is empty')
  const key = parseKey(files.privateKey)
  if (!leaf.checkPrivateKey(key))
    throw new MeshError('MESH_IDENTITY_INVALID', 'tls.key does not fit the certificate in tls.crt')
  checkTime(leaf, now())
  checkLeaf(leaf)
  checkPurposes(leaf)
  const { identity, dnsNames } = readIdentity(leaf, spiffe)
  const privateKey = new Secret(key.export({ type: 'pkcs8', format: 'pem' }).toString())
  const context = contextOptions({ certificateChain: toPem(chain), privateKey, roots })
  await proveChain(context).catch((error: unknown) => {
    throw endedAbove(error, chain.slice(1), roots, now())
  })
  // the other side judges so too, for each connection
  const { notAfter, links } = followChain(chain, roots, now())
  return Object.freeze({
    generation,
    identity,
    dnsNames,
    notBefore: leaf.validFromDate,
    notAfter,
    fingerprint: fingerprintOf(leaf),
    certificateChain: toPem(inOrder(chain, links)),
    privateKey,
    roots,
  })
}

/**
 * The way to the root first, then what else there is. TLS asks for no order any more (RFC 8446, section 4.4.2), but Node
 * as a client finds issuers only in this one: docs/discoveries/node-clients-need-chains-in-order.md.
 */
function inOrder(
  chain: readonly X509Certificate[],
  links: readonly CertificateLink[],
): readonly X509Certificate[] {
  const place = new Map(links.map(({ fingerprint }, depth) => [fingerprint, depth]))
  const placeOf = (one: X509Certificate) => place.get(fingerprintOf(one)) ?? links.length
  return chain.toSorted((one, other) => placeOf(one) - placeOf(other))
}

function toPem(chain: readonly X509Certificate[]): string {
  return chain.map((certificate) => certificate.toString()).join('')
}

/**
 * The trust domain of the certificate in a directory, where no configuration names it. Proves nothing.
 * @throws MeshError MESH_IDENTITY_UNREADABLE, INVALID, AMBIGUOUS or MALFORMED
 */
export async function readTrustDomain(dir: string): Promise<string> {
  const files = await readIdentityFiles(dir)
  const [leaf] = parseCertificates(files.certificate, 'tls.crt', MAX_CHAIN)
  const uris = leaf === undefined ? [] : readSubjectAltNames(leaf.raw).uris
  if (uris.length !== 1) throw new MeshError('MESH_IDENTITY_AMBIGUOUS')
  const trustDomain = /^spiffe:\/\/([a-z0-9.-]+)\//.exec(uris[0] ?? '')?.[1]
  if (trustDomain === undefined) throw new MeshError('MESH_IDENTITY_MALFORMED')
  return trustDomain
}

function parseRoots(text: string): readonly TrustedRoot[] {
  const certificates = parseCertificates(text, 'ca.crt', MAX_ROOTS)
  const roots = new Map<string, TrustedRoot>()
  for (const certificate of certificates) {
    if (!certificate.ca)
      throw new MeshError('MESH_IDENTITY_INVALID', 'ca.crt: holds a certificate that is not a CA')
    if (!certificate.checkIssued(certificate))
      throw new MeshError('MESH_IDENTITY_INVALID', 'ca.crt: holds a CA that is not a root', {
        hint: 'intermediates belong into tls.crt, after the leaf',
      })
    const fingerprint = fingerprintOf(certificate)
    const root = {
      pem: certificate.toString(),
      fingerprint,
      notAfter: certificate.validToDate,
      anchor: anchorOfRoot(certificate),
    }
    roots.set(fingerprint, Object.freeze(root))
  }
  return Object.freeze([...roots.values()])
}

function anchorOfRoot(certificate: X509Certificate): string {
  try {
    return anchorIdentity(certificate)
  } catch (cause) {
    if (!(cause instanceof DerError)) throw cause
    throw new MeshError('MESH_IDENTITY_INVALID', 'ca.crt: holds a damaged certificate', { cause })
  }
}

function parseKey(pem: Secret<string>): KeyObject {
  try {
    return createPrivateKey(withoutByteOrderMark(pem.reveal()))
  } catch {
    // the cause is left out: what OpenSSL says of a key is no help, and it is a key
    throw new MeshError(
      'MESH_IDENTITY_INVALID',
      'tls.key: is not an unencrypted private key in PEM',
    )
  }
}

/** TLS says that a certificate has expired, not which: the leaf is in time, so it is one above it. */
function endedAbove(
  error: unknown,
  between: readonly X509Certificate[],
  roots: readonly TrustedRoot[],
  nowMs: number,
): unknown {
  if (!(error instanceof MeshError) || error.code !== 'MESH_IDENTITY_EXPIRED') return error
  const above = [
    ...between.map(({ validToDate }) => ['an intermediate in tls.crt', validToDate] as const),
    ...roots.map(({ notAfter }) => ['a root in ca.crt', notAfter] as const),
  ]
  const [what, end] = above.find(([, notAfter]) => notAfter.getTime() < nowMs) ?? []
  if (what === undefined || end === undefined) return error
  return new MeshError(error.code, `${what} ended at ${end.toISOString()}`, {
    cause: error,
    hint: 'renew that CA, issue the certificate again, and put both into place; `mesh-pki verify` shows the chain',
  })
}

function checkTime(leaf: X509Certificate, nowMs: number): void {
  if (nowMs < leaf.validFromDate.getTime())
    throw new MeshError(
      'MESH_IDENTITY_NOT_YET_VALID',
      `the certificate is valid from ${leaf.validFromDate.toISOString()}`,
    )
  if (nowMs > leaf.validToDate.getTime())
    throw new MeshError(
      'MESH_IDENTITY_EXPIRED',
      `the certificate expired at ${leaf.validToDate.toISOString()}`,
    )
}
