/** Verifies egress tokens: what `verify-signed.ts` proves of every token, for the audience of the egress port. */
import { EGRESS_AUDIENCE, type EgressClaims, type SpiffeTemplate } from '@clawmesh/proto'
import { parseEgressClaims } from './parse-claims.ts'
import {
  createSignedTokenVerifier,
  type SignedTokenVerifier,
  type SignedTokenVerifierOptions,
} from './verify-signed.ts'

export { MAX_TOKEN_LENGTH } from './verify-signed.ts'

export interface TokenVerifierOptions
  extends Omit<
    SignedTokenVerifierOptions<EgressClaims>,
    'typ' | 'audience' | 'requiredClaims' | 'parse'
  > {
  readonly spiffe: SpiffeTemplate
}

export type TokenVerifier = SignedTokenVerifier<EgressClaims>

export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  return createSignedTokenVerifier({
    ...options,
    typ: null,
    audience: EGRESS_AUDIENCE,
    requiredClaims: ['exp', 'nbf', 'iat', 'sub', 'jti'],
    parse: (payload) => parseEgressClaims(payload, options.spiffe),
  })
}
