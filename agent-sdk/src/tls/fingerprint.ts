/** How certificates are named in logs and compared: SHA-256 of the DER, lower-case hexadecimal. */
import { createHash } from 'node:crypto'

export function fingerprintOf(certificate: { readonly raw: Uint8Array }): string {
  return createHash('sha256').update(certificate.raw).digest('hex')
}
