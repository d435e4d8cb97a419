/**
 * Whose certificate a server has shown, for the words of a refusal: the verdict of OpenSSL ends the connection before any
 * check of the mesh reads the certificate. What it says is not verified, and decides nothing.
 */
import { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { SpiffeTemplate } from '@clawmesh/proto'
import { readIdentity } from './peer-certificate.ts'

export interface ShownCertificate {
  /** SPIFFE ID. */
  readonly id: string
  readonly notBefore: Date
  readonly notAfter: Date
}

/** Looks when the handshake ends, before Node does. Call it at once after `connect`; the answer is null before that. */
export function noteShownCertificate(
  socket: TLSSocket,
  spiffe: SpiffeTemplate,
): () => ShownCertificate | null {
  let shown: ShownCertificate | null = null
  socket.prependOnceListener('secure', () => {
    // the leaf alone: to read the issuers would take them away from the reader after this one
    shown = describe(socket.getPeerCertificate(false).raw, spiffe)
  })
  return () => shown
}

/** Null when it names no identity of the mesh. */
export function describeCertificate(
  certificate: X509Certificate,
  spiffe: SpiffeTemplate,
): ShownCertificate | null {
  try {
    const { identity } = readIdentity(certificate, spiffe)
    const { validFromDate: notBefore, validToDate: notAfter } = certificate
    return { id: identity.id, notBefore, notAfter }
  } catch {
    // it only makes a message better
    return null
  }
}

function describe(raw: Buffer | undefined, spiffe: SpiffeTemplate): ShownCertificate | null {
  return raw === undefined ? null : describeCertificate(new X509Certificate(raw), spiffe)
}
