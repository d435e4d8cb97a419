/** The fingerprint of the first certificate of a PEM text. */
import { X509Certificate } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'

/** SHA-256, lower-case hexadecimal. @throws MeshError MESH_REVOCATION_INVALID */
export function fingerprintOfPem(pem: string): string {
  try {
    return new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase()
  } catch (cause) {
    throw new MeshError('MESH_REVOCATION_INVALID', 'the file holds no certificate in PEM', {
      cause,
      hint: 'name the certificate, such as tls.crt: a PEM file, a SHA-256 fingerprint or a serial number',
    })
  }
}
