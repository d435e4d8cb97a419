/**
 * The one judgement of chains: from a certificate to a trust anchor (RFC 5280, section 6.1), after OpenSSL has verified
 * the connection. It says which CAs stand between, so that revocations of them and their ends are known.
 */
import { createHash, type X509Certificate } from 'node:crypto'
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

interface Step {
  readonly certificate: X509Certificate
  readonly below: Step | null
  /** CAs from here down, this one included, that count for path lengths: not those that issued themselves. */
  readonly cas: number
}

/**
 * The shortest path, or null. Each certificate is visited once, so that the work is bounded by the signatures that fit
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
  const left = new Set(between)
  const steps: Step[] = [{ certificate: leaf, below: null, cas: leaf.ca ? 1 : 0 }]
  for (const step of steps) {
    const anchor = anchors.find((one) => mayHaveIssued(one.certificate, step))
    if (anchor !== undefined) return { certificates: downFrom(step), anchor }
    for (const issuer of left) {
      if (!mayHaveIssued(issuer, step)) continue
      left.delete(issuer)
      const cas = step.cas + (issuer.checkIssued(issuer) ? 0 : 1)
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
  return createHash('sha256').update(subjectOf(certificate)).update(spki).digest('hex')
}

/** The encoded subject. @throws DerError */
export function subjectOf(certificate: X509Certificate): Uint8Array {
  const [body] = readDerList(expectDer(readDer(certificate.raw), DER_TAG.SEQUENCE))
  const fields = readDerList(expectDer(body, DER_TAG.SEQUENCE))
  // the version is optional; serial number, algorithm, issuer and validity come before the subject
  const subject = fields[fields[0]?.tag === 0xa0 ? 5 : 4]
  if (subject === undefined) throw new DerError('a certificate has no subject')
  return subject.raw
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
