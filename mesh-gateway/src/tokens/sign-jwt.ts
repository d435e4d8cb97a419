/** Signs JWTs (ES256) with a key of the ring, in memory or in a token, and proves that a token has the keys of a ring. */
import { randomBytes } from 'node:crypto'
import type { FoundNow } from '@clawmesh/agent-sdk/mesh'
import type { TokenLink } from '@clawmesh/proto/pkcs11'
import { type JWTPayload, SignJWT } from 'jose'
import { type RingKey, unusable } from './key-ring-file.ts'

/** @throws MeshError MESH_HSM_*, MESH_KEYS_UNUSABLE */
export async function signJwt(
  key: Pick<RingKey, 'kid' | 'privateKey'> & Partial<RingKey>,
  link: TokenLink | null,
  typ: string,
  claims: JWTPayload,
): Promise<string> {
  const header = { alg: 'ES256', kid: key.kid, typ }
  if (key.privateKey !== null)
    return new SignJWT(claims).setProtectedHeader(header).sign(key.privateKey)
  // RFC 7515, section 3.1
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const input = `${encode(header)}.${encode(claims)}`
  const signature = await signInToken(key, link, Buffer.from(input))
  return `${input}.${signature.toString('base64url')}`
}

/**
 * Lets a ring pass whose keys for signing work. Each key is proven once, so that a retired one goes also while the token is
 * away; then a signature is tried with each reading, so that this is noticed before a token is asked for.
 */
export function tokenKeyProof(
  dir: string,
  link: TokenLink | null,
): (found: FoundNow<readonly RingKey[]>) => Promise<FoundNow<readonly RingKey[]>> {
  let passed = ''
  let proven: ReadonlySet<string> = new Set()
  const probe = (key: RingKey) => signInToken(key, link, randomBytes(32))
  return async (found) => {
    if (found.digest === passed && link === null) return found
    const keys = found
      .parse()
      .filter(({ role, token }) => token !== null && role !== 'verifying')
      .toSorted((a, b) => a.role.localeCompare(b.role))
    if (keys.length > 0 && link === null)
      throw unusable(
        `the private keys of ${dir} are in a token`,
        undefined,
        'set keys.pkcs11 to the URI of the token',
      )
    const unproven = keys.filter((key) => !proven.has(inToken(key)))
    for (const key of unproven) await probe(key)
    if (unproven.length === 0 && keys[0] !== undefined)
      void probe(keys[0]).catch(() => {
        // the link reports it as its problem
      })
    passed = found.digest
    proven = new Set(keys.map(inToken))
    return found
  }
}

/** A key, and its place in the token. */
function inToken({ kid, token }: RingKey): string {
  return `${kid} ${token?.id ?? ''}`
}

async function signInToken(
  { token = null, publicKey, kid }: Pick<RingKey, 'kid'> & Partial<RingKey>,
  link: TokenLink | null,
  data: Buffer,
): Promise<Buffer> {
  if (token === null || publicKey === undefined || link === null)
    throw unusable(`the private key ${kid} is in a token`)
  return link.sign(token.id, publicKey, data)
}
