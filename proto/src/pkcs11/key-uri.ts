/**
 * PKCS #11 URIs (RFC 7512): which token, which module speaks to it, where its PIN is. `pin-value` is refused: a PIN
 * belongs into a file.
 */
import { MeshError } from '../mesh-error.ts'

export interface TokenUri {
  /** The label of the token. */
  readonly token: string
  /** Path of the module, a shared library. */
  readonly modulePath: string
  /** Path of the file with the PIN. */
  readonly pinFile: string
}

/** An object of a token, in hexadecimal: its CKA_ID. */
export type KeyId = string

const PATH_KEYS: ReadonlySet<string> = new Set(['token', 'object', 'id', 'type'])
const QUERY_KEYS: ReadonlySet<string> = new Set(['module-path', 'pin-source'])

/** @throws MeshError MESH_HSM_INVALID */
export function parseTokenUri(text: string): TokenUri {
  const { path, query } = parts(text)
  const token = path.get('token') ?? ''
  const modulePath = query.get('module-path') ?? ''
  const pinFile = (query.get('pin-source') ?? '').replace(/^file:(?:\/\/)?/, '')
  if (token === '') throw invalid('token is missing')
  if (!modulePath.startsWith('/')) throw invalid('module-path is not an absolute path')
  if (!pinFile.startsWith('/')) throw invalid('pin-source is not an absolute path of a file')
  return { token, modulePath, pinFile }
}

export function formatTokenUri({ token, modulePath, pinFile }: TokenUri, id?: KeyId): string {
  const encode = (value: string) => encodeURIComponent(value).replaceAll('%2F', '/')
  const object = id === undefined ? '' : `;id=${id.replaceAll(/../g, '%$&')};type=private`
  return `pkcs11:token=${encode(token)}${object}?module-path=${encode(modulePath)}&pin-source=file:${encode(pinFile)}`
}

/** The id of the key that a URI names. @throws MeshError MESH_HSM_INVALID */
export function keyIdOfUri(text: string): KeyId {
  const id = /[:;]id=((?:%[0-9A-Fa-f]{2}){1,64})(?:[;?]|$)/.exec(text)?.[1]
  if (id === undefined) throw invalid('it names no key by its id')
  return id.replaceAll('%', '').toLowerCase()
}

function parts(text: string) {
  const [, pathText = '', queryText = ''] = /^pkcs11:([^?#]*)(?:\?([^#]*))?$/.exec(text) ?? []
  if (pathText === '') throw invalid('it does not begin with pkcs11:')
  const read = (list: string, separator: string, known: ReadonlySet<string>) => {
    const found = new Map<string, string>()
    for (const pair of list === '' ? [] : list.split(separator)) {
      const at = pair.indexOf('=')
      const key = pair.slice(0, Math.max(at, 0))
      if (key === 'pin-value') throw invalid('a PIN belongs into a file: pin-source')
      if (!known.has(key) || found.has(key))
        throw invalid(`${JSON.stringify(key.slice(0, 50))} is not understood, or there twice`)
      found.set(key, key === 'id' ? pair.slice(at + 1) : decoded(pair.slice(at + 1)))
    }
    return found
  }
  return { path: read(pathText, ';', PATH_KEYS), query: read(queryText, '&', QUERY_KEYS) }
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    throw invalid('it is not percent-encoded')
  }
}

/** Not quoted: what stands there may be a PIN, or another secret that was put into the wrong place. */
function invalid(what: string): MeshError {
  return new MeshError('MESH_HSM_INVALID', `no PKCS #11 URI: ${what}`)
}
