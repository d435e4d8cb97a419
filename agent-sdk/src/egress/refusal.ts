/** Refusals of the gateway's egress port as MeshErrors: from the body, or, for CONNECT, from the status line where there is no body. */
import { type ErrorCode, isErrorCode, MeshError } from '@clawmesh/proto'

/** A refusal is small; more than this is something else. */
export const REFUSAL_BYTES = 16_384

/** The error in a body `{code, gate, reason, rule, hint, request_id}`, or null when it is none. */
export function refusalInBody(text: string, retryAfter: string | null = null): MeshError | null {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    // not JSON, so not the gateway's: the caller says what else it is
    return null
  }
  if (typeof body !== 'object' || body === null) return null
  const said = (name: string): string | undefined => {
    const value: unknown = Reflect.get(body, name)
    return typeof value === 'string' ? value : undefined
  }
  const code = said('code')
  const gate = said('gate')
  const requestId = said('request_id')
  if (code === undefined || !isErrorCode(code) || gate === undefined || requestId === undefined)
    return null
  const rule = said('rule')
  const hint = said('hint')
  const seconds = Number(retryAfter ?? Number.NaN)
  return new MeshError(code, said('reason'), {
    facts: { gate, request_id: requestId, ...(rule === undefined ? {} : { rule }) },
    ...(hint === undefined ? {} : { hint }),
    ...(Number.isFinite(seconds) ? { retryAfterMs: seconds * 1000 } : {}),
  })
}

/** The error in a status line such as `403 MESH_POLICY_NOT_ALLOWED: no rule allows it`; by the status alone where it says no more. */
export function refusalInStatusLine(status: number, words: string): MeshError {
  const [, code, message] = /^(MESH_[A-Z_]+)(?:[: ]+(.*))?$/.exec(words) ?? []
  if (code !== undefined && isErrorCode(code)) return new MeshError(code, message || undefined)
  const meant = BY_STATUS.get(status) ?? 'MESH_EGRESS_UPSTREAM'
  return new MeshError(meant, `the egress port answered ${status}`)
}

const BY_STATUS: ReadonlyMap<number, ErrorCode> = new Map([
  [400, 'MESH_EGRESS_MALFORMED'],
  [403, 'MESH_POLICY_NOT_ALLOWED'],
  [407, 'MESH_TOKEN_MISSING'],
  [429, 'MESH_RATE_LIMITED'],
  [502, 'MESH_EGRESS_UNREACHABLE'],
  [503, 'MESH_GATEWAY_DRAINING'],
  [504, 'MESH_EGRESS_TIMEOUT'],
])

/** Another token may be taken where this one was not. */
export function blamesToken(code: ErrorCode): boolean {
  return TOKEN_FAULTS.has(code)
}

const TOKEN_FAULTS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'MESH_TOKEN_EXPIRED',
  'MESH_TOKEN_REVOKED',
  'MESH_TOKEN_BINDING',
  'MESH_TOKEN_SIGNATURE',
  'MESH_TOKEN_KEY_UNKNOWN',
])
