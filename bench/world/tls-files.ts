/** The TLS options of everything here that is not the product: TLS 1.3, both sides with certificates. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SecureContextOptions } from 'node:tls'

export function readTlsFiles(dir: string): SecureContextOptions & { readonly ca: Buffer } {
  return {
    cert: readFileSync(join(dir, 'tls.crt')),
    key: readFileSync(join(dir, 'tls.key')),
    ca: readFileSync(join(dir, 'ca.crt')),
    minVersion: 'TLSv1.3',
  }
}
