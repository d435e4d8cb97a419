/** What is said to the process that speaks PKCS #11 (token-process.ts), a line of JSON each. */
import { MeshError } from '../mesh-error.ts'

export interface TokenSettings {
  /** Path of the package pkcs11js. */
  readonly library: string
  readonly modulePath: string
  readonly token: string
  readonly pin: string
  /** Opens the token to make or destroy keys. */
  readonly writes: boolean
}

export type TokenWork =
  /** Signs a SHA-256 digest, base64. */
  | { readonly op: 'sign'; readonly id: string; readonly digest: string }
  | { readonly op: 'generate'; readonly id: string; readonly label: string }
  | { readonly op: 'destroy'; readonly id: string }

export type TokenRequest = TokenWork & { readonly n: number }

export interface TokenAnswer {
  readonly n: number
  readonly ok?: Readonly<Record<string, string>>
  /** `pin`: it was refused; `key`: it is missing or of another kind; `token`: anything else. */
  readonly error?: { readonly kind: 'pin' | 'token' | 'key'; readonly message: string }
}

export function parseAnswer(line: string): TokenAnswer | null {
  try {
    const value: unknown = JSON.parse(line)
    const n: unknown = Object(value).n
    return typeof n === 'number' ? Object(value) : null
  } catch {
    // a module may print to standard output
    return null
  }
}

export function tokenFault(
  token: string,
  { kind, message }: NonNullable<TokenAnswer['error']>,
): MeshError {
  if (kind === 'pin')
    return new MeshError('MESH_HSM_PIN', `the token ${token} does not take the PIN: ${message}`)
  return new MeshError(
    kind === 'key' ? 'MESH_HSM_INVALID' : 'MESH_HSM_UNAVAILABLE',
    `the token ${token} cannot be used: ${message}`,
  )
}

export function silentToken(token: string, withinMs: number): MeshError {
  return new MeshError(
    'MESH_HSM_UNAVAILABLE',
    `the token ${token} did not answer within ${withinMs / 1000} seconds`,
  )
}
