/** The public facts of a CA. Never its keys. */
import type { ParsedCertificate } from '../x509/parse-certificate.ts'

export interface CaCertificate {
  readonly pem: string
  /** SHA-256 of the certificate, lower-case hexadecimal. */
  readonly fingerprint: string
  readonly notBefore: Date
  readonly notAfter: Date
}

export interface CaInfo {
  /** Absolute path. */
  readonly dir: string
  readonly trustDomain: string
  readonly meshDomain: string
  readonly root: CaCertificate
  readonly intermediate: CaCertificate
}

export function caInfo(ca: {
  readonly dir: string
  readonly trustDomain: string
  readonly meshDomain: string
  readonly root: ParsedCertificate
  readonly intermediate: ParsedCertificate
}): CaInfo {
  const facts = ({ pem, fingerprint, notBefore, notAfter }: ParsedCertificate) =>
    Object.freeze({ pem, fingerprint, notBefore, notAfter })
  const { dir, trustDomain, meshDomain } = ca
  return Object.freeze({
    dir,
    trustDomain,
    meshDomain,
    root: facts(ca.root),
    intermediate: facts(ca.intermediate),
  })
}
