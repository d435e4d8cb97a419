/**
 * The file that stands for a private key in a token: a PKCS #11 URI of the key, then its public key in PEM. So a key is
 * verified with, and published, while its token is away.
 */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { MeshError } from '../mesh-error.ts'
import { formatTokenUri, type KeyId, keyIdOfUri, parseTokenUri, type TokenUri } from './key-uri.ts'

export interface TokenKeyFile {
  readonly uri: TokenUri
  readonly id: KeyId
  readonly publicKey: KeyObject
  /** 32 bytes that stand for the secret key where something is derived from it; null in files without one. */
  readonly secret: Buffer | null
}

const SCHEME = 'pkcs11:'
const SECRET = 'CLAWMESH DERIVED SECRET'

export function isTokenKeyFile(text: string): boolean {
  return text.startsWith(SCHEME)
}

/** @param name for messages. @throws MeshError MESH_HSM_INVALID */
export function parseTokenKeyFile(text: string, name: string): TokenKeyFile {
  const [uriText = '', ...rest] = text.split('\n')
  const body = rest.join('\n')
  const secret = new RegExp(`-----BEGIN ${SECRET}-----\\s+([A-Za-z0-9+/=]{44})\\s+-----END`).exec(
    body,
  )?.[1]
  return {
    uri: parseTokenUri(uriText),
    id: keyIdOfUri(uriText),
    publicKey: publicKeyIn(body, name),
    secret: secret === undefined ? null : Buffer.from(secret, 'base64'),
  }
}

export function formatTokenKeyFile({ uri, id, publicKey, secret }: TokenKeyFile): string {
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const derived =
    secret === null
      ? ''
      : `-----BEGIN ${SECRET}-----\n${secret.toString('base64')}\n-----END ${SECRET}-----\n`
  return `${formatTokenUri(uri, id)}\n${pem}${derived}`
}

function publicKeyIn(body: string, name: string): KeyObject {
  try {
    return createPublicKey(body)
  } catch (cause) {
    throw new MeshError('MESH_HSM_INVALID', `${name} has no public key behind its URI`, { cause })
  }
}
