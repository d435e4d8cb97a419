/**
 * The environment of a gateway that finds one root of the system: reading the hundreds of a machine is a tenth of the CPU of its
 * start. What a test needs to be trusted it names by `egress.ca`.
 */
import { fileURLToPath } from 'node:url'

export const ONE_ROOT: Readonly<Record<string, string>> = Object.freeze({
  SSL_CERT_FILE: fileURLToPath(new URL('one-root.pem', import.meta.url)),
  SSL_CERT_DIR: '',
})
