/** A ring that signs with one key, for tests of what is signed. */
import type { KeyObject } from 'node:crypto'
import type { KeyRing } from '../../../mesh-gateway/src/tokens/key-ring.ts'
import { signJwt } from '../../../mesh-gateway/src/tokens/sign-jwt.ts'

export function ringOfOne(kid: string, privateKey: KeyObject): Pick<KeyRing, 'sign'> {
  return { sign: (typ, claims) => signJwt({ kid, privateKey }, null, typ, claims) }
}
