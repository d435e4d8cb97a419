/** Opens the verifier of egress tokens by the configuration: with external issuers where some are configured. */
import type { ExternalIssuersOptions } from './external/open-external-issuers.ts'
import {
  createTokenVerifier,
  type TokenVerifier,
  type TokenVerifierOptions,
} from './verify-token.ts'

export interface OpenTokenVerifierOptions
  extends Omit<TokenVerifierOptions, 'outside' | 'maxTtlMs'>,
    ExternalIssuersOptions {}

export interface OpenTokenVerifier extends Pick<TokenVerifier, 'verify' | 'keys' | 'remembers'> {
  /** Fetches the keys of external issuers now. */
  reload(): Promise<void>
  close(): Promise<void>
}

export async function openTokenVerifier(
  options: OpenTokenVerifierOptions,
): Promise<OpenTokenVerifier> {
  if (options.issuers.length === 0) {
    const verifier = createTokenVerifier(options)
    return {
      verify: verifier.verify,
      keys: verifier.keys,
      remembers: verifier.remembers,
      reload: async () => {},
      close: async () => verifier.close(),
    }
  }
  // loaded on demand: most gateways accept only their own tokens, and undici takes megabytes
  const { openExternalIssuers } = await import('./external/open-external-issuers.ts')
  const outside = openExternalIssuers(options)
  const verifier = createTokenVerifier({ ...options, outside: outside.sources })
  return {
    verify: verifier.verify,
    keys: verifier.keys,
    remembers: verifier.remembers,
    reload: outside.reload,
    async close() {
      verifier.close()
      await outside.close()
    },
  }
}
