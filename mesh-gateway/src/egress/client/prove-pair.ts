/**
 * Proves that clients can make TLS connections to a port with a certificate and its key: by a handshake in memory with an
 * ordinary client, which takes what Node takes by default. A pair can be whole, and still be one that OpenSSL does not load, or that no
 * client agrees to (docs/discoveries/a-pair-that-fits-may-serve-nobody.md).
 */
import type { X509Certificate } from 'node:crypto'
import type { TlsOptions } from 'node:tls'
import { handshakeInMemory } from '@clawmesh/agent-sdk/mesh'

/** Whether a client knows the root is its own affair: it may have one that is not in the chain. */
const OF_TRUST: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/**
 * Null when clients are served; else why not, by the name that OpenSSL has for it, e.g. `ERR_SSL_EE_KEY_TOO_SMALL`.
 * @param options what the port is run with
 */
export async function whyNotServed(
  options: TlsOptions,
  chain: readonly X509Certificate[],
): Promise<string | null> {
  const [leaf, ...issuers] = chain
  if (leaf === undefined) return 'the chain is empty'
  const trusted = issuers.length === 0 ? [leaf] : issuers
  const client = {
    ca: trusted.map((one) => one.toString()),
    allowPartialTrustChain: true,
    ALPNProtocols: ['http/1.1'],
    // looked at below: the names that clients use, and the roots that they know, are not known here
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  }
  try {
    return await handshakeInMemory({ ...options, requestCert: false }, client, (ends) => {
      const { authorized, authorizationError } = ends.client
      const verdict = authorized ? null : String(authorizationError)
      return verdict === null || OF_TRUST.has(verdict) ? null : verdict
    })
  } catch (error) {
    // words of OpenSSL about a key are no secret, but its code says as much
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}
