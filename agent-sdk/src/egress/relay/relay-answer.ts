/** The relay's own answers, in the form of the gateway's: JSON, and for CONNECT the reason in the status line too. */
import { type ErrorCode, HEADER_REFUSAL, type MeshError, uuidV7 } from '@clawmesh/proto'

// an import would load undici: docs/discoveries/an-import-of-node-http-loads-undici.md
const { STATUS_CODES } = process.getBuiltinModule('node:http')

/** Faults of the request have their own status; all else is a gateway that the relay did not reach. */
const OF_CLIENTS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'MESH_RELAY_CREDENTIAL',
  'MESH_EGRESS_MALFORMED',
  'MESH_EGRESS_HEAD_TOO_LARGE',
  'MESH_EGRESS_SLOW',
])
/** Not of the gateway either. */
const OWN_STATUS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...OF_CLIENTS,
  'MESH_LIMIT_CONCURRENCY',
])
const BAD_GATEWAY = 502
const MAX_REASON_LENGTH = 240

export interface RelayRefusal {
  readonly status: number
  readonly requestId: string
  readonly bytes: string
}

export function isFaultOfClient(code: ErrorCode): boolean {
  return OF_CLIENTS.has(code)
}

/** @param method null when none was read */
export function refusalByRelay(error: MeshError, method: string | null): RelayRefusal {
  const { code, hint, publicMessage: reason } = error
  const status = OWN_STATUS.has(code) ? error.row.http : BAD_GATEWAY
  const requestId = uuidV7()
  const facts = { code, gate: 'relay', reason, rule: null, hint, request_id: requestId }
  const bytes = answer({
    status,
    reason: method === 'CONNECT' ? `${code} ${reason}; ${hint}` : (STATUS_CODES[status] ?? ''),
    headers: [
      'cache-control: no-store',
      `x-request-id: ${requestId}`,
      `${HEADER_REFUSAL}: ${code}`,
      ...(status === 407 ? ['proxy-authenticate: Basic realm="clawmesh relay"'] : []),
    ],
    body: method === 'HEAD' ? null : facts,
  })
  return { status, requestId, bytes }
}

/** @param headers lines of their own */
export function jsonAnswer(body: string, headers: readonly string[]): string {
  return answer({ status: 200, reason: 'OK', headers, body })
}

function answer(parts: {
  readonly status: number
  readonly reason: string
  readonly headers: readonly string[]
  /** Text is sent as it is. Null: none, as an answer to HEAD. */
  readonly body: object | string | null
}): string {
  const { status, reason, headers, body } = parts
  const text = typeof body === 'string' ? body : body === null ? '' : `${asciiJson(body)}\n`
  const lines = [
    `HTTP/1.1 ${status} ${printable(reason)}`,
    'content-type: application/json',
    ...(body === null ? [] : [`content-length: ${text.length}`]),
    ...headers,
    'connection: close',
  ]
  return `${lines.join('\r\n')}\r\n\r\n${text}`
}

/** One byte for each character. */
export function asciiJson(value: object): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function printable(text: string): string {
  return text.slice(0, MAX_REASON_LENGTH).replace(/[^\x20-\x7e]/g, '?')
}
