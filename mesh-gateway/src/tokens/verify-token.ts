/**
 * Verifies egress tokens: the gateway's own, and those of external issuers (trusted issuers, federated issuers). One
 * cache serves all of them.
 */
import { EGRESS_AUDIENCE, EGRESS_TOKEN_TYPE, MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import type { SigningKeys } from '../live/judge.ts'
import { createRingSource, type RingSourceOptions } from './own-tokens.ts'
import { parseEgressClaims } from './parse-claims.ts'
import { type VerifiedEgressClaims, withGrounds } from './token-grounds.ts'
import {
  createTokenMemory,
  type SignedTokenVerifier,
  type TokenMemoryOptions,
  type TokenSource,
} from './token-memory.ts'
import { unverifiedIssuer } from './unverified-issuer.ts'

export interface TokenVerifierOptions
  extends Pick<
      RingSourceOptions<VerifiedEgressClaims>,
      'keyRing' | 'issuer' | 'skewMs' | 'maxTtlMs'
    >,
    Omit<TokenMemoryOptions<VerifiedEgressClaims>, 'sources' | 'choose'> {
  readonly spiffe: SpiffeTemplate
  /** External issuers by `iss`, without the gateway's own. Default: none. */
  readonly outside?: ReadonlyMap<string, TokenSource<VerifiedEgressClaims>>
}

const SKEW_MS = 30_000

export interface TokenVerifier extends SignedTokenVerifier<VerifiedEgressClaims> {
  readonly keys: VerifyingKeys
}

/** The keys by which tokens verify now, of the gateway and of external issuers. */
export interface VerifyingKeys extends SigningKeys {
  /** Called when keys have changed. Returns the function that unsubscribes. */
  onChange(listener: () => void): () => void
}

export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const outside = new Map(options.outside ?? [])
  const own = createRingSource({
    ...options,
    typ: EGRESS_TOKEN_TYPE,
    audience: EGRESS_AUDIENCE,
    requiredClaims: ['exp', 'nbf', 'iat', 'sub', 'jti'],
    parse: (payload, kid) =>
      withGrounds(parseEgressClaims(payload, options.spiffe), kid, options.skewMs ?? SKEW_MS),
  })
  const sources = [own, ...outside.values()]
  const memory = createTokenMemory({
    ...options,
    sources,
    choose: (token) => (outside.size === 0 ? own : chooseByIssuer(token)),
  })
  return {
    ...memory,
    keys: {
      verifies(issuer, kid) {
        const source = issuer === options.issuer ? own : outside.get(issuer)
        return source?.verifies(kid) ?? false
      },
      onChange(listener) {
        const stops = sources.map((source) => source.onChange(listener))
        return () => {
          for (const stop of stops) stop()
        }
      },
    },
  }

  /** Selects the verifier only: a token that names a false issuer does not verify. */
  function chooseByIssuer(token: string): TokenSource<VerifiedEgressClaims> {
    const issuer = unverifiedIssuer(token)
    if (issuer === null || issuer === options.issuer) return own
    const source = outside.get(issuer)
    if (source === undefined) throw new MeshError('MESH_TOKEN_ISSUER')
    return source
  }
}
