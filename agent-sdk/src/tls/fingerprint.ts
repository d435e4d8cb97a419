/** How certificates are named in logs and compared: SHA-256 of the DER, lower-case hexadecimal. */
import { createHash, type X509Certificate } from 'node:crypto'

export function fingerprintOf(certificate: Pick<X509Certificate, 'raw'>): string {
  return createHash('sha256').update(certificate.raw).digest('hex')
}
