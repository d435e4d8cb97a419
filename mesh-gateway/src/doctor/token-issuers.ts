/** Checks external token issuers: whether the gateway can fetch their keys, and use them. */
import { MeshError } from '@clawmesh/proto'
import type { Config } from '../config/schema.ts'
import { openUpstreamTrust } from '../egress/upstream/upstream-trust.ts'
import type { Resolver } from '../resolve/resolver.ts'
import type { ReadJwks } from '../tokens/external/read-jwks.ts'
import { type CheckResult, type Finding, result, shellWord } from './finding.ts'

export interface TokenIssuerFacts {
  readonly issuer: string
  readonly jwksUri: string
  readonly keys: ReadJwks | MeshError
}

export function checkTokenIssuers(facts: readonly TokenIssuerFacts[]): CheckResult {
  const about = facts.map(({ issuer }) => issuer).join(', ')
  return result('token issuers', about, ...facts.flatMap(findingsOf))
}

/** @throws MeshError MESH_CONFIG_INVALID when egress.ca is not valid */
export async function readTokenIssuers(
  { tokens, egress }: Config,
  resolver: Pick<Resolver, 'addresses'>,
): Promise<TokenIssuerFacts[]> {
  // loaded on demand: a gateway without such issuers, and so the doctor, does not need undici
  const [{ fetchJwks }, { readJwks }] = await Promise.all([
    import('../tokens/external/fetch-jwks.ts'),
    import('../tokens/external/read-jwks.ts'),
  ])
  const upstreamTrust = await openUpstreamTrust({ file: egress.ca })
  try {
    const trust = upstreamTrust.context()
    return await Promise.all(
      tokens.issuers.map(async ({ issuer, jwksUri, algorithms }) => {
        const keys = await fetchJwks({ uri: jwksUri, trust, resolver })
          .then(({ text }) => readJwks(text, algorithms))
          .catch((error: unknown) => {
            if (error instanceof MeshError) return error
            throw error
          })
        return { issuer, jwksUri, keys }
      }),
    )
  } finally {
    await upstreamTrust.close()
  }
}

function findingsOf({ issuer, jwksUri, keys }: TokenIssuerFacts): Finding[] {
  const todo = `curl -v ${shellWord(jwksUri)}`
  if (keys instanceof MeshError)
    return [
      {
        what: `${issuer}: ${keys.message}`,
        why: 'its tokens are refused with MESH_TOKEN_ISSUER_UNAVAILABLE, after an hour also where the gateway has keys of before',
        todo: `${todo}; a CA of its own belongs into egress.ca`,
      },
    ]
  const findings: Finding[] = []
  if (keys.leftOut.length > 0)
    findings.push({
      what: `${issuer}: some of its keys are not used: ${keys.leftOut.join('; ')}`,
      why: 'tokens that they sign are refused',
      todo,
    })
  const names = keys.keys.map(({ kid, kty, crv, alg }) => JSON.stringify([kid, kty, crv, alg]))
  if (new Set(names).size < names.length)
    findings.push({
      what: `${issuer}: two of its keys cannot be told apart by kid`,
      why: 'tokens that either of them signs are refused',
      todo,
    })
  return findings
}
