/**
 * What OpenSSL and Node say about a handshake that failed, in the codes of the mesh.
 * The names are those of OpenSSL's x509_vfy.h, as Node's X509Pointer::ErrorCode passes them on.
 */
import { type ErrorCode, MeshError } from '@clawmesh/proto'
import type { ShownCertificate } from './shown-certificate.ts'

const BY_NAME: ReadonlyMap<string, ErrorCode> = new Map<string, ErrorCode>([
  ['CERT_HAS_EXPIRED', 'MESH_IDENTITY_EXPIRED'],
  ['CERT_NOT_YET_VALID', 'MESH_IDENTITY_NOT_YET_VALID'],
  ['ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE', 'MESH_IDENTITY_NO_CERTIFICATE'],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'MESH_IDENTITY_NO_CERTIFICATE'],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'MESH_IDENTITY_UNTRUSTED'],
  ['ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED', 'MESH_IDENTITY_EXPIRED'],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', 'MESH_IDENTITY_EXPIRED'],
  ['ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE', 'MESH_IDENTITY_UNTRUSTED'],
  ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', 'MESH_IDENTITY_UNTRUSTED'],
  ...[
    'UNABLE_TO_GET_ISSUER_CERT',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
    'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
    'CERT_SIGNATURE_FAILURE',
    'ERROR_IN_CERT_NOT_BEFORE_FIELD',
    'ERROR_IN_CERT_NOT_AFTER_FIELD',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'CERT_CHAIN_TOO_LONG',
    'CERT_REVOKED',
    'INVALID_CA',
    'PATH_LENGTH_EXCEEDED',
    'INVALID_PURPOSE',
    'CERT_UNTRUSTED',
    'CERT_REJECTED',
    // a name constraint that is violated reads so
    'UNSPECIFIED',
  ].map((name): [string, ErrorCode] => [name, 'MESH_IDENTITY_UNTRUSTED']),
])

/** Explains an error of verification to the side that presented the certificate. */
const WORDS: ReadonlyMap<string, readonly [message: string, hint: string]> = new Map([
  [
    'INVALID_PURPOSE',
    [
      'the certificate, or a CA above it, is not for TLS clients and servers',
      'its extended key usage must have both serverAuth and clientAuth',
    ],
  ],
  [
    'INVALID_CA',
    [
      'a certificate above it is not one of a CA',
      'a CA has CA:TRUE in its basic constraints, and keyCertSign in its key usage',
    ],
  ],
  [
    'PATH_LENGTH_EXCEEDED',
    [
      'a CA above it may not have so many CAs below it',
      'issue it from a CA that the path length of the CAs above permits',
    ],
  ],
])

/** The code for the verdict of OpenSSL on a certificate. What is not known is not trusted. */
export function codeOfVerifyError(verdict: unknown): ErrorCode {
  return BY_NAME.get(nameOf(verdict)) ?? 'MESH_IDENTITY_UNTRUSTED'
}

/**
 * The error for a certificate that OpenSSL did not accept.
 * @param verdict `authorizationError` of a TLS socket, or the error of a handshake
 * @param shown whose certificate it is about, where that is known
 */
export function verifyFailure(verdict: unknown, shown: ShownCertificate | null = null): MeshError {
  const name = nameOf(verdict)
  const known = BY_NAME.has(name)
  const code = codeOfVerifyError(verdict)
  const [message, hint] = WORDS.get(name) ?? untimely(name, shown)
  // only names from the table are repeated: they are OpenSSL's own words, never the peer's
  return new MeshError(code, message, {
    cause: verdict,
    ...(hint === undefined ? {} : { hint }),
    ...(known ? { facts: { tls: name } } : {}),
  })
}

/**
 * Why connecting to a server failed: its certificate, or what it thinks of ours. Null when TLS is not the reason.
 * An error made by a check of the mesh (`expect`) comes back as it is.
 */
export function handshakeFailure(
  error: unknown,
  shown: ShownCertificate | null = null,
): MeshError | null {
  if (error instanceof MeshError) return error
  return BY_NAME.has(nameOf(error)) ? verifyFailure(error, shown) : null
}

/** Whose certificate is out of time: that of the other side, or one's own in the eyes of the other side. */
function untimely(
  name: string,
  shown: ShownCertificate | null,
): readonly [message?: string, hint?: string] {
  if (name.endsWith('ALERT_CERTIFICATE_EXPIRED'))
    return ['the other side says that our certificate has expired']
  const whose = shown === null ? 'of the other side' : `of ${shown.id}`
  const hint = `renew it where it is used, and check the clocks of both machines`
  const now = Date.now()
  if (name === 'CERT_HAS_EXPIRED') {
    if (shown !== null && shown.notAfter.getTime() > now)
      return [`a CA above the certificate ${whose} has expired`, hint]
    const at = shown === null ? '' : ` at ${shown.notAfter.toISOString()}`
    return [`the certificate ${whose} expired${at}`, hint]
  }
  if (name === 'CERT_NOT_YET_VALID')
    return [`the certificate ${whose}, or a CA above it, is not valid yet`, hint]
  return []
}

function nameOf(verdict: unknown): string {
  if (typeof verdict === 'string') return verdict
  if (typeof verdict !== 'object' || verdict === null || !('code' in verdict)) return ''
  return typeof verdict.code === 'string' ? verdict.code : ''
}
