/** Messages of MCP (JSON-RPC 2.0) as they come in a body: one, or, before the revision of June 2025, a batch. */

export type RequestId = string | number
export type Params = Readonly<Record<string, unknown>>

export type Message =
  | {
      readonly kind: 'request'
      readonly id: RequestId
      readonly method: string
      readonly params: Params
    }
  | { readonly kind: 'notification'; readonly method: string; readonly params: Params }
  /** An answer to the server, which asks nothing. */
  | { readonly kind: 'response' }
  | { readonly kind: 'invalid'; readonly id: RequestId | null }

/** Codes of JSON-RPC 2.0, section 5.1, and one of the range for servers. */
export const RPC_ERRORS = Object.freeze({
  parse: -32_700,
  invalid: -32_600,
  methodUnknown: -32_601,
  params: -32_602,
  refused: -32_000,
})

/** Of a batch. */
export const MAX_MESSAGES = 16
const MAX_ID_LENGTH = 256

/** Null for what is no JSON, an empty batch, or one of too many messages. */
export function readMessages(body: Buffer): readonly Message[] | null {
  let read: unknown
  try {
    read = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    // neither UTF-8 nor JSON
    return null
  }
  if (!Array.isArray(read)) return [messageOf(read)]
  return read.length === 0 || read.length > MAX_MESSAGES ? null : read.map(messageOf)
}

function messageOf(value: unknown): Message {
  if (!isRecord(value)) return { kind: 'invalid', id: null }
  const { id, method, jsonrpc } = value
  const params = isEmpty(value.params) ? {} : value.params
  const known = isRequestId(id) ? id : null
  const invalid: Message = { kind: 'invalid', id: known }
  if (jsonrpc !== '2.0') return invalid
  if (method === undefined)
    return 'result' in value || 'error' in value ? { kind: 'response' } : invalid
  if (typeof method !== 'string' || !isRecord(params)) return invalid
  if (id === undefined) return { kind: 'notification', method, params }
  return known === null ? invalid : { kind: 'request', id: known, method, params }
}

/** How clients write no parameters: not at all, as null, and in PHP as an empty list. */
export function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || (Array.isArray(value) && value.length === 0)
}

export function isRequestId(id: unknown): id is RequestId {
  return typeof id === 'string' ? id.length <= MAX_ID_LENGTH : Number.isFinite(id)
}

export function isRecord(value: unknown): value is Params {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
