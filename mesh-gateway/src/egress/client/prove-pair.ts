/**
 * Proves that clients can connect by TLS to a port with a certificate and its key: makes a handshake in memory with an
 * ordinary client, which uses Node's defaults. A pair can be whole, and still fail to load in OpenSSL or be refused by
 * every client (docs/discoveries/a-pair-that-fits-may-serve-nobody.md).
 */
import type { X509Certificate } from 'node:crypto'
import type { TlsOptions } from 'node:tls'
import { handshakeInMemory } from '@clawmesh/agent-sdk/mesh'

/** Ignored: the client may have a root that is not in the chain. */
const OF_TRUST: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/**
 * Null when a handshake succeeds; else OpenSSL's code for the reason, e.g. `ERR_SSL_EE_KEY_TOO_SMALL`.
 * @param options the TLS options of the port
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
    // checked below: the names and the roots of the clients are unknown here
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
    // the code says enough; OpenSSL's message about a key is not needed
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}
