/**
 * Finds the tree of delegations of a task, by the token that came with it. A task may outlive its token, so expiry is
 * not checked: the token gives no authority here, it only identifies the tree.
 */
import { verify } from 'node:crypto'
import {
  DELEGATION_TOKEN_TYPE,
  type DelegationClaims,
  MeshError,
  type SpiffeTemplate,
} from '@clawmesh/proto'
import type { KeyRing } from '../../tokens/key-ring.ts'
import { MAX_TOKEN_LENGTH } from '../../tokens/token-memory.ts'
import { parseDelegationClaims } from './parse-delegation-claims.ts'

export interface TaskTree {
  readonly claims: DelegationClaims
  /**
   * True when a key of the ring has signed it. An unsigned token is only the holder's claim: it can refuse a call, but
   * is not recorded.
   */
  readonly signed: boolean
}

export interface TreeOfTokenOptions {
  readonly keyRing: Pick<KeyRing, 'verifying'>
  /** The required `iss`. */
  readonly issuer: string
  readonly spiffe: SpiffeTemplate
}

/**
 * @param token a delegation token (JWS compact serialization, RFC 7515), or one without its signature
 * @param holder SPIFFE ID of the callee that presents it
 * @throws MeshError MESH_TOKEN_MALFORMED; MESH_TOKEN_AUDIENCE when it was signed for another agent
 */
export function treeOfToken(
  token: string,
  holder: string,
  { keyRing, issuer, spiffe }: TreeOfTokenOptions,
): TaskTree {
  if (token.length > MAX_TOKEN_LENGTH) throw malformed('too long')
  const [head = '', body = '', signature, ...more] = token.split('.')
  if (signature === undefined || more.length > 0) throw malformed('no JWS')
  const { alg, typ, kid, crit } = objectOf(head)
  if (typ !== DELEGATION_TOKEN_TYPE) throw malformed('typ')
  const claims = parseDelegationClaims(objectOf(body), spiffe)
  if (claims.iss !== issuer) throw malformed('iss')
  if (claims.aud !== holder)
    throw new MeshError('MESH_TOKEN_AUDIENCE', 'the delegation token was signed for another agent')
  const key =
    alg === 'ES256' && typeof kid === 'string' && crit === undefined ? keyRing.verifying(kid) : null
  if (key === null || signature === '') return { claims, signed: false }
  const signed = verify(
    'sha256',
    Buffer.from(`${head}.${body}`),
    { key: key.publicKey, dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  )
  return { claims, signed }
}

function objectOf(part: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // thrown below
  }
  throw malformed('JSON')
}

function malformed(what: string): MeshError {
  return new MeshError('MESH_TOKEN_MALFORMED', `not a delegation token: ${what}`)
}
