/** Verifies egress tokens: the gateway's own, and those of outside issuers. One memory serves all of them. */
import { EGRESS_AUDIENCE, type EgressClaims, MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import { parseEgressClaims } from './parse-claims.ts'
import { createRingSource, type RingSourceOptions } from './ring-source.ts'
import {
  createTokenMemory,
  type SignedTokenVerifier,
  type TokenMemoryOptions,
  type TokenSource,
} from './token-memory.ts'
import { unverifiedIssuer } from './unverified-issuer.ts'

export interface TokenVerifierOptions
  extends Pick<RingSourceOptions<EgressClaims>, 'keyRing' | 'issuer' | 'skewMs'>,
    Omit<TokenMemoryOptions<EgressClaims>, 'sources' | 'choose'> {
  readonly spiffe: SpiffeTemplate
  /** Outside issuers by `iss`, none of them ours. Default: none. */
  readonly outside?: ReadonlyMap<string, TokenSource<EgressClaims>>
}

export type TokenVerifier = SignedTokenVerifier<EgressClaims>

export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const outside = new Map(options.outside ?? [])
  const own = createRingSource({
    ...options,
    typ: null,
    audience: EGRESS_AUDIENCE,
    requiredClaims: ['exp', 'nbf', 'iat', 'sub', 'jti'],
    parse: (payload) => parseEgressClaims(payload, options.spiffe),
  })
  return createTokenMemory({
    ...options,
    sources: [own, ...outside.values()],
    choose: (token) => (outside.size === 0 ? own : chooseByIssuer(token)),
  })

  /** It only picks who is to verify: a token that lies about its issuer does not verify. */
  function chooseByIssuer(token: string): TokenSource<EgressClaims> {
    const issuer = unverifiedIssuer(token)
    if (issuer === null || issuer === options.issuer) return own
    const source = outside.get(issuer)
    if (source === undefined) throw new MeshError('MESH_TOKEN_ISSUER')
    return source
  }
}
