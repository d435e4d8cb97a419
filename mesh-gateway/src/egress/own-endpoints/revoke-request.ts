/** Parses POST /v1/token/revoke (RFC 7009): a form, as OAuth clients send it, or JSON. */
import { Secret } from '@clawmesh/proto'
import { readStrictJson } from '../../policy/read/strict-json.ts'
import { MAX_TOKEN_LENGTH } from '../../tokens/token-memory.ts'
import { type Refused, refuse } from '../refused.ts'

export interface ParsedRevokeRequest {
  readonly token: Secret<string>
  /** The key of a service account; null: the token itself authorizes its revocation. */
  readonly key: Secret<string> | null
}

const BEARER = /^bearer +([A-Za-z0-9._~+/-]{1,8192}=*)$/i

export function parseRevokeRequest(
  authorization: string | null,
  contentType: string | null,
  body: Buffer,
): ParsedRevokeRequest | Refused {
  const bearer = authorization === null ? null : (BEARER.exec(authorization)?.[1] ?? '')
  if (bearer === '')
    return refuse('credential', 'MESH_ACCOUNT_KEY_INVALID', {
      message: 'the Authorization header is not Bearer with a key or a token',
    })
  const named = body.length === 0 ? null : tokenOf(contentType, body)
  if (named !== null && typeof named !== 'string') return named
  // a token contains dots, a key does not
  if (bearer === null || bearer.includes('.')) {
    const token = named ?? bearer
    if (token === null) return invalid('no token is named')
    if (bearer !== null && bearer !== token) return invalid('a token may revoke itself alone')
    return { token: new Secret(token), key: null }
  }
  if (named === null) return invalid('no token is named')
  return { token: new Secret(named), key: new Secret(bearer) }
}

/** Other parameters are ignored, as OAuth requires: token_type_hint, client_id. */
function tokenOf(contentType: string | null, body: Buffer): string | Refused {
  let tokens: unknown[]
  if (contentType?.split(';', 1)[0]?.trim().toLowerCase() === 'application/x-www-form-urlencoded')
    tokens = new URLSearchParams(body.toString('latin1')).getAll('token')
  else {
    const document = readStrictJson(body)
    if (document.faults.length > 0) return invalid('the body is neither a form nor JSON')
    const { value } = document
    const token: unknown =
      typeof value === 'object' && value !== null ? Reflect.get(value, 'token') : undefined
    tokens = token === undefined ? [] : [token]
  }
  const [token] = tokens
  if (tokens.length !== 1 || typeof token !== 'string' || token.length === 0)
    return invalid('the body must name one token')
  return token.length > MAX_TOKEN_LENGTH ? invalid('the token is too long') : token
}

function invalid(message: string): Refused {
  return refuse('syntax', 'MESH_TOKEN_REQUEST_INVALID', {
    message,
    hint: 'send token=… as a form, or {"token": "…"} as JSON',
  })
}
