/** Verifies tokens of one kind that this gateway signed, and caches them for a minute. */
import { createRingSource, type RingSourceOptions } from './own-tokens.ts'
import {
  createTokenMemory,
  type SignedTokenVerifier,
  type TimedClaims,
  type TokenMemoryOptions,
} from './token-memory.ts'

export type { SignedTokenVerifier } from './token-memory.ts'

export interface SignedTokenVerifierOptions<Claims extends TimedClaims>
  extends RingSourceOptions<Claims>,
    Omit<TokenMemoryOptions<Claims>, 'sources' | 'choose' | 'now'> {}

export function createSignedTokenVerifier<Claims extends TimedClaims>(
  options: SignedTokenVerifierOptions<Claims>,
): SignedTokenVerifier<Claims> {
  const source = createRingSource(options)
  return createTokenMemory({ ...options, sources: [source], choose: () => source })
}
