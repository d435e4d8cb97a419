/** The token that holds the private signing keys (PKCS #11), as `keys.pkcs11` names it. */
import { createRequire } from 'node:module'
import {
  openTokenLink,
  parseTokenUri,
  type TokenLink,
  type TokenOnce,
  type TokenUri,
  tokenOnce,
} from '@clawmesh/proto/pkcs11'

export interface KeyToken {
  readonly uri: TokenUri
  readonly once: TokenOnce
}

/** For commands that make and remove keys; null where keys are files. @throws MeshError MESH_HSM_INVALID */
export function keyToken(uriText: string | null): KeyToken | null {
  if (uriText === null) return null
  const uri = parseTokenUri(uriText)
  return { uri, once: tokenOnce(uri, pkcs11Library()) }
}

/** For a gateway; null where keys are files. @throws MeshError MESH_HSM_INVALID */
export function keyTokenLink(uriText: string | null): TokenLink | null {
  return uriText === null
    ? null
    : openTokenLink({ uri: parseTokenUri(uriText), library: pkcs11Library() })
}

/** It is not installed with this package: most gateways need none. Its absence is reported when it is needed. */
function pkcs11Library(): string {
  try {
    return createRequire(import.meta.url).resolve('pkcs11js')
  } catch {
    return 'pkcs11js'
  }
}
