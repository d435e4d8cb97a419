/**
 * Certificates that end a Node process. A client shows itself the chain of its server (`getPeerCertificate`), and Node 24.21 does not
 * survive that when a key in it is on a curve without a name of NIST: docs/discoveries/a-curve-that-ends-node.md
 */
import type { X509Certificate } from 'node:crypto'

/** As OpenSSL names them. */
const CURVES: ReadonlySet<string> = new Set([
  'prime192v1',
  'secp224r1',
  'prime256v1',
  'secp384r1',
  'secp521r1',
])

/** The name of the curve of its key when a chain with it must not come before Node's TLS; null when there is no danger. */
export function dangerousCurve({ publicKey }: Pick<X509Certificate, 'publicKey'>): string | null {
  if (publicKey.asymmetricKeyType !== 'ec') return null
  const curve = publicKey.asymmetricKeyDetails?.namedCurve ?? 'unknown'
  return CURVES.has(curve) ? null : curve
}
