/** Signs and verifies delegation tokens. Does not decide what their claims allow. */
import {
  DELEGATION_TOKEN_TYPE,
  type DelegationClaims,
  MeshError,
  type SpiffeTemplate,
  uuidV7,
} from '@clawmesh/proto'
import type { ChainGrounds } from '../../live/grounds.ts'
import type { KeyRing } from '../../tokens/key-ring.ts'
import { chainGrounds } from '../../tokens/token-grounds.ts'
import { MAX_TOKEN_LENGTH } from '../../tokens/token-memory.ts'
import { createSignedTokenVerifier } from '../../tokens/verify-signed.ts'
import type { ChainLink } from './extend-chain.ts'
import { parseDelegationClaims } from './parse-delegation-claims.ts'
import { type TaskTree, treeOfToken } from './tree-of-token.ts'

export interface ChainTokensOptions {
  readonly keyRing: Pick<KeyRing, 'sign' | 'verifying' | 'onChange'>
  /** `iss` of the tokens. */
  readonly issuer: string
  readonly spiffe: SpiffeTemplate
  /** The longest life of a token, in milliseconds. Read for each token. Default 3,600,000. */
  readonly maxTtlMs?: () => number
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number
}

/** The claims of a presented token, with the key and certificates that vouch for them. */
export interface PresentedClaims extends DelegationClaims {
  /** The key that signed it. */
  readonly kid: string
  readonly chain: ChainGrounds
}

export interface ChainTokens {
  /** @throws MeshError MESH_TOKEN_REQUEST_INVALID when it would be longer than `verify` accepts */
  sign(link: ChainLink): Promise<{ readonly token: string; readonly claims: DelegationClaims }>
  /**
   * The claims of a token that `presenter` may present.
   * @throws MeshError MESH_TOKEN_*; MESH_TOKEN_AUDIENCE when it was signed for another agent
   */
  verify(token: string, presenter: string): PresentedClaims | Promise<PresentedClaims>
  /**
   * The tree of a task that `holder` holds, by the token that came with it. Also accepts expired and unsigned tokens.
   * @throws MeshError MESH_TOKEN_MALFORMED; MESH_TOKEN_AUDIENCE when it was signed for another agent
   */
  tree(token: string, holder: string): TaskTree
  close(): void
}

export function createChainTokens(options: ChainTokensOptions): ChainTokens {
  const { keyRing, issuer, spiffe, now = Date.now } = options
  const verifier = createSignedTokenVerifier<PresentedClaims>({
    keyRing,
    issuer,
    typ: DELEGATION_TOKEN_TYPE,
    audience: null,
    requiredClaims: ['exp', 'iat', 'sub', 'aud', 'jti', 'act', 'txn', 'hop', 'max_hops'],
    parse(payload, kid) {
      const claims = parseDelegationClaims(payload, spiffe)
      return Object.freeze({ ...claims, kid, chain: chainGrounds(claims.txn, claims.act) })
    },
    ...(options.maxTtlMs === undefined ? {} : { maxTtlMs: options.maxTtlMs }),
    ...(options.now === undefined ? {} : { now }),
  })

  function presentedBy(presenter: string, claims: PresentedClaims): PresentedClaims {
    if (claims.aud !== presenter)
      throw new MeshError(
        'MESH_TOKEN_AUDIENCE',
        'the delegation token was signed for another agent',
        { hint: 'present the token that came with the task, from the agent it came to' },
      )
    return claims
  }

  return {
    async sign(link) {
      const claims: DelegationClaims = Object.freeze({ iss: issuer, ...link, jti: uuidV7(now()) })
      const token = await keyRing.sign(DELEGATION_TOKEN_TYPE, { ...claims })
      if (token.length > MAX_TOKEN_LENGTH)
        throw new MeshError(
          'MESH_TOKEN_REQUEST_INVALID',
          'the delegation token would be too long for a header',
          { hint: 'narrow to fewer destinations and names of scope' },
        )
      return { token, claims }
    },
    verify(token, presenter) {
      const claims = verifier.verify(token)
      return claims instanceof Promise
        ? claims.then((verified) => presentedBy(presenter, verified))
        : presentedBy(presenter, claims)
    },
    tree: (token, holder) => treeOfToken(token, holder, { keyRing, issuer, spiffe }),
    close: () => verifier.close(),
  }
}
