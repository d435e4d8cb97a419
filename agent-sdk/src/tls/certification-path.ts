/**
 * The one judgement of chains: from a certificate to a trust anchor (RFC 5280, section 6.1), after OpenSSL has verified
 * the connection. It says which CAs stand between, so that revocations of them and their ends are known.
 */
import { createHash, type X509Certificate } from 'node:crypto'
import { canonicalName } from '@clawmesh/proto'
import { DER_TAG, DerError, expectDer, readDer, readDerList } from './der.ts'
import { pathLengthOf } from './leaf-rules.ts'

export interface CertificationPath<Anchor> {
  /** The leaf, then the CAs between it and the anchor. */
  readonly certificates: readonly X509Certificate[]
  readonly anchor: Anchor
}

export interface PathQuestion<Anchor> {
  /** An agent's or gateway's, or a CA whose own standing is asked for. */
  readonly leaf: X509Certificate
  /** What may stand between, in any order (RFC 8446, section 4.4.2); what does not belong there is passed over. */
  readonly between: readonly X509Certificate[]
  readonly anchors: readonly Anchor[]
  /** Milliseconds since the epoch: CAs that are out of time lead nowhere. Null: whatever the time. */
  readonly nowMs: number | null
}

/** Longer chains do not occur. */
export const MAX_CHAIN = 10
/** A hostile chain can name its issuers so that each seems to have issued each other. */
const MAX_SIGNATURES = 64
const ISSUER = 2
const SUBJECT = 4

interface Step {
  readonly certificate: X509Certificate
  readonly below: Step | null
  /** CAs from here down, this one included, that count for path lengths: not those that issued themselves. */
  readonly cas: number
}

/**
 * The shortest path, and of several the one whose CAs last longest, or null. Each certificate is visited once, so that the work is bounded by the signatures that fit
 * by name. @throws DerError when a CA on the way is not properly encoded
 */
export function findPath<Anchor extends { readonly certificate: X509Certificate }>(
  question: PathQuestion<Anchor>,
): CertificationPath<Anchor> | null {
  const { leaf, between, anchors, nowMs } = question
  let signatures = 0
  const mayHaveIssued = (issuer: X509Certificate, { certificate, cas }: Step) => {
    if (!issuer.ca || !isInTime(issuer, nowMs) || !certificate.checkIssued(issuer)) return false
    if (pathLengthOf(issuer) < cas) return false
    signatures += 1
    return signatures <= MAX_SIGNATURES && certificate.verify(issuer.publicKey)
  }
  const left = new Set(lastsLongest(between, ({ validToDate }) => validToDate))
  const lasting = lastsLongest(anchors, ({ certificate }) => certificate.validToDate)
  const steps: Step[] = [{ certificate: leaf, below: null, cas: leaf.ca ? 1 : 0 }]
  for (const step of steps) {
    const anchor = lasting.find((one) => mayHaveIssued(one.certificate, step))
    if (anchor !== undefined) return { certificates: downFrom(step), anchor }
    for (const issuer of left) {
      if (!mayHaveIssued(issuer, step)) continue
      left.delete(issuer)
      const cas = step.cas + (isSelfIssued(issuer) ? 0 : 1)
      steps.push({ certificate: issuer, below: step, cas })
    }
  }
  return null
}

/**
 * SHA-256 of name and key of a CA, lower-case hexadecimal: what makes a trust anchor (RFC 5280, section 6.1.1 d). A root
 * that was renewed with its key is the same anchor. @throws DerError
 */
export function anchorIdentity(certificate: X509Certificate): string {
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
  const name = canonicalName(subjectOf(certificate))
  return createHash('sha256').update(name).update(spki).digest('hex')
}

/** The encoded subject. @throws DerError */
export function subjectOf(certificate: X509Certificate): Uint8Array {
  return nameAt(certificate, SUBJECT)
}

/** By its place among serial number, algorithm, issuer, validity and subject, after the version, which is optional. */
function nameAt(certificate: X509Certificate, place: number): Uint8Array {
  const [body] = readDerList(expectDer(readDer(certificate.raw), DER_TAG.SEQUENCE))
  const fields = readDerList(expectDer(body, DER_TAG.SEQUENCE))
  const name = fields[fields[0]?.tag === 0xa0 ? place + 1 : place]
  if (name === undefined) throw new DerError('a certificate is incomplete')
  return name.raw
}

/** CAs that issued themselves count for no path length (RFC 5280, section 6.1): a name, whatever the key, as in OpenSSL. */
function isSelfIssued(certificate: X509Certificate): boolean {
  return canonicalName(subjectOf(certificate)) === canonicalName(nameAt(certificate, ISSUER))
}

/** So that the answer is the same whatever the order. */
function lastsLongest<T>(among: readonly T[], endOf: (one: T) => Date): readonly T[] {
  if (among.length < 2) return among
  return among.toSorted((one, other) => endOf(other).getTime() - endOf(one).getTime())
}

function isInTime({ validFromDate, validToDate }: X509Certificate, nowMs: number | null): boolean {
  if (nowMs === null) return true
  return nowMs >= validFromDate.getTime() && nowMs <= validToDate.getTime()
}

function downFrom(top: Step): readonly X509Certificate[] {
  const certificates: X509Certificate[] = []
  for (let step: Step | null = top; step !== null; step = step.below)
    certificates.unshift(step.certificate)
  return certificates
}
