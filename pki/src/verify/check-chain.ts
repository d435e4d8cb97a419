/**
 * Checks a certificate chain against roots, with checks of its own that explain each fault. Pure but for node:crypto;
 * the clock is an argument.
 */
import { canonicalName } from '@clawmesh/proto'
import { OID } from '../der/oids.ts'
import { namesRefused } from '../x509/check-names.ts'
import { KEY_USAGE, type ParsedCertificate } from '../x509/parse-certificate.ts'
import { formatDate, formatDuration, formatName } from './words.ts'

export type CheckName =
  | 'chain'
  | 'time'
  | 'constraints'
  | 'usage'
  | 'identity'
  | 'key'
  | 'handshake'

export interface Check {
  readonly name: CheckName
  readonly ok: boolean
  /** The finding, in words. */
  readonly detail: string
}

/** No valid chain is longer; bounds the work on hostile files. */
const MAX_PATH = 8
/** Gateways and agents read no more. */
const MAX_CHAIN = 10
const LEAST_RSA_BITS = 2048
/** md5 and sha1 with RSA, ECDSA and DSA with SHA-1. */
const WEAK_SIGNATURES: ReadonlySet<string> = new Set([
  '1.2.840.113549.1.1.4',
  '1.2.840.113549.1.1.5',
  '1.2.840.10045.4.1',
  '1.2.840.10040.4.3',
])

/**
 * @param chain the leaf, then possible intermediates
 * @param fileFaults further faults of the files of the chain
 */
export function checkChain(
  chain: readonly ParsedCertificate[],
  roots: readonly ParsedCertificate[],
  nowMs: number,
  fileFaults: readonly string[] = [],
): readonly Check[] {
  const [leaf, ...between] = chain
  if (leaf === undefined) throw new TypeError('chain: must hold a certificate')
  const long =
    chain.length > MAX_CHAIN ? [`the file holds more than ${MAX_CHAIN} certificates`] : []
  const { path, fault } = buildPath(leaf, between, roots, nowMs)
  return [
    judged(
      'chain',
      [...fileFaults, ...long, ...roots.flatMap(rootFaults), ...(fault === null ? [] : [fault])],
      path.map(nameOf).join(' <- '),
    ),
    judged(
      'time',
      path.flatMap((each) => timeFaults(each, nowMs)),
      timeLeft(path, nowMs),
    ),
    judged(
      'constraints',
      [...constraintFaults(path), ...path.flatMap(strengthFaults)],
      'every CA above it may issue it, with its names',
    ),
    judged('usage', usageFaults(path), 'good for TLS servers and clients'),
    judged('identity', identityFaults(leaf), leaf.names.uris[0] ?? ''),
  ]
}

export function judged(name: CheckName, faults: readonly string[], detail: string): Check {
  return faults.length === 0
    ? { name, ok: true, detail }
    : { name, ok: false, detail: faults.join('; ') }
}

function buildPath(
  leaf: ParsedCertificate,
  between: readonly ParsedCertificate[],
  roots: readonly ParsedCertificate[],
  nowMs: number,
): { path: readonly ParsedCertificate[]; fault: string | null } {
  const path = [leaf]
  // of several certificates of one CA, such as a root and its renewal, prefer one that is valid now
  const issuerOf = (at: ParsedCertificate, among: readonly ParsedCertificate[]) => {
    const issuers = among.filter((each) => !path.includes(each) && issued(each, at))
    return issuers.find((each) => timeFaults(each, nowMs).length === 0) ?? issuers[0]
  }
  for (let at = leaf; path.length <= MAX_PATH; ) {
    if (roots.some((root) => root.der.equals(at.der))) return { path, fault: null }
    const root = issuerOf(at, roots)
    if (root !== undefined) return { path: [...path, root], fault: null }
    // TLS searches the roots first, by name and key identifiers
    const isClaimed = roots.some(({ x509 }) => at.x509.checkIssued(x509))
    const next = isClaimed ? undefined : issuerOf(at, between)
    if (next === undefined) return { path, fault: missingIssuer(at, [...between, ...roots]) }
    path.push(next)
    at = next
  }
  return { path, fault: 'the chain is too long' }
}

/** Gateways and agents load no other ca.crt. */
function rootFaults(root: ParsedCertificate): string[] {
  if (!root.isCa) return [`${nameOf(root)} among the roots is not a CA`]
  // by name and key identifiers, as OpenSSL recognises a self-issued certificate
  if (root.x509.checkIssued(root.x509)) return []
  return [`${nameOf(root)} among the roots is not a root: intermediates belong into tls.crt`]
}

/**
 * What TLS refuses at its default security level: keys of less than 112 bits, and SHA-1. The signature of a root does
 * not matter.
 */
function strengthFaults(certificate: ParsedCertificate): string[] {
  const { modulusLength = LEAST_RSA_BITS } = certificate.publicKey.asymmetricKeyDetails ?? {}
  const name = nameOf(certificate)
  return [
    ...(modulusLength < LEAST_RSA_BITS
      ? [`${name} has a key of ${modulusLength} bits, and TLS wants ${LEAST_RSA_BITS}`]
      : []),
    ...(WEAK_SIGNATURES.has(certificate.signatureAlgorithm) && !isSelfIssued(certificate)
      ? [`${name} is signed with MD5 or SHA-1, which TLS refuses`]
      : []),
  ]
}

function issued(issuer: ParsedCertificate, subject: ParsedCertificate): boolean {
  return isSameName(issuer.subject, subject.issuer) && subject.x509.verify(issuer.publicKey)
}

function missingIssuer(at: ParsedCertificate, known: readonly ParsedCertificate[]): string {
  const issuer = formatName(at.x509.issuer)
  return known.some(({ subject }) => isSameName(subject, at.issuer))
    ? `the signature of ${nameOf(at)} is not by the ${issuer} that is here`
    : `${nameOf(at)} was issued by ${issuer}, which is neither in the chain nor trusted`
}

function timeFaults(certificate: ParsedCertificate, nowMs: number): string[] {
  const { notBefore, notAfter } = certificate
  const name = nameOf(certificate)
  const early = notBefore.getTime() - nowMs
  const late = nowMs - notAfter.getTime()
  if (late > 0) return [`${name} expired ${formatDuration(late)} ago, at ${formatDate(notAfter)}`]
  if (early > 0)
    return [`${name} is not valid before ${formatDate(notBefore)}, in ${formatDuration(early)}`]
  return []
}

function timeLeft(path: readonly ParsedCertificate[], nowMs: number): string {
  const first = Math.min(...path.map(({ notAfter }) => notAfter.getTime()))
  return `until ${formatDate(new Date(first))}, ${formatDuration(first - nowMs)} left`
}

function constraintFaults(path: readonly ParsedCertificate[]): string[] {
  const faults: string[] = []
  for (const [index, certificate] of path.entries()) {
    const name = nameOf(certificate)
    for (const id of certificate.unknownCritical)
      faults.push(`${name} has the critical extension ${id}, which is not understood`)
    if (index === 0) continue
    if (!certificate.isCa) faults.push(`${name} is not a CA`)
    if (certificate.keyUsage !== null && (certificate.keyUsage & KEY_USAGE.keyCertSign) === 0)
      faults.push(`${name} may not sign certificates`)
    // self-issued CAs do not count, and their names are not checked (RFC 5280, section 6.1)
    const below = path.slice(0, index).filter((each, at) => at === 0 || !isSelfIssued(each))
    if (certificate.pathLength !== null && below.length - 1 > certificate.pathLength)
      faults.push(`${name} may have ${certificate.pathLength} CAs below it, and has more`)
    const { nameConstraints } = certificate
    if (nameConstraints === null) continue
    for (const refused of below.flatMap(({ names }) => namesRefused(names, nameConstraints)))
      faults.push(`${name} does not permit ${formatName(refused)}`)
  }
  return faults
}

function isSelfIssued({ subject, issuer }: ParsedCertificate): boolean {
  return isSameName(subject, issuer)
}

/** Ignores string type, case and blanks, as in TLS. */
function isSameName(one: Buffer, other: Buffer): boolean {
  return one.equals(other) || canonicalName(one) === canonicalName(other)
}

function usageFaults(path: readonly ParsedCertificate[]): string[] {
  const [leaf] = path
  const faults: string[] = []
  // X509-SVID, section 5.2
  if (leaf?.isCa === true) faults.push('it is the certificate of a CA, not of an agent or gateway')
  if (leaf?.keyUsage != null && leaf.keyUsage & (KEY_USAGE.keyCertSign | KEY_USAGE.crlSign))
    faults.push('its key may sign certificates or revocation lists, as only that of a CA may')
  if (leaf !== undefined && leaf.keyUsage !== null && !(leaf.keyUsage & KEY_USAGE.digitalSignature))
    faults.push('its key may not sign, as TLS 1.3 needs')
  for (const certificate of path) {
    const purposes = certificate.extKeyUsage
    // anyExtendedKeyUsage alone does not count, as in OpenSSL
    if (purposes === null) continue
    if (!purposes.includes(OID.serverAuth)) faults.push(`${nameOf(certificate)} is not for servers`)
    if (!purposes.includes(OID.clientAuth)) faults.push(`${nameOf(certificate)} is not for clients`)
  }
  return faults
}

function identityFaults({ names }: ParsedCertificate): string[] {
  const [uri, ...more] = names.uris
  if (uri === undefined) return ['it carries no SPIFFE ID']
  if (more.length > 0) return ['it carries more than one URI']
  return /^spiffe:\/\/[a-z0-9._-]+\/[A-Za-z0-9._/-]+$/.test(uri)
    ? []
    : [`its URI is not a SPIFFE ID: ${formatName(uri)}`]
}

/** A certificate without a subject, as SPIRE and cert-manager issue them, is shown by its first name. */
function nameOf({ x509, names }: ParsedCertificate): string {
  return formatName(x509.subject || names.uris[0] || names.dnsNames[0])
}
