/** The verifier of egress tokens as the configuration wants it: with outside issuers where some are named. */
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
  /** Fetches the keys of outside issuers now. */
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
  // only now: most gateways take no tokens but their own, and undici takes megabytes
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
