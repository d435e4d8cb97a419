/**
 * Checks the answer that switches to WebSocket, as a client does (RFC 6455, section 4.1). After the switch nothing more
 * is judged.
 */
import { createHash } from 'node:crypto'
import { type Field, listOf, single } from './head.ts'
import type { RequestHead } from './request-head.ts'
import type { ResponseHead } from './response-head.ts'

/** Of RFC 6455, section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/**
 * Why the switch is invalid; null when it is valid. @throws MalformedMessage when a field that may occur once occurs
 * twice
 */
export function switchFault(request: RequestHead, response: ResponseHead): string | null {
  if (!request.webSocket) return 'it switches to a protocol that was not asked for'
  const { fields, nominated } = response
  if (single(fields, 'upgrade')?.toLowerCase() !== 'websocket')
    return 'it switches to a protocol that was not asked for'
  if (!nominated.includes('upgrade') || nominated.includes('close'))
    return 'it switches to WebSocket without Connection: upgrade'
  const key = single(request.fields, 'sec-websocket-key')
  if (key === null || single(fields, 'sec-websocket-accept') !== acceptOf(key))
    return 'its Sec-WebSocket-Accept is not that of the request'
  const protocol = single(fields, 'sec-websocket-protocol')
  if (protocol !== null && !membersOf(request.fields, 'sec-websocket-protocol').includes(protocol))
    return 'it chooses a WebSocket protocol that was not asked for'
  const offered = extensionsOf(request.fields)
  return extensionsOf(fields).every((name) => offered.includes(name))
    ? null
    : 'it chooses a WebSocket extension that was not asked for'
}

function acceptOf(key: string): string {
  return createHash('sha1')
    .update(key + GUID, 'latin1')
    .digest('base64')
}

/** Names of subprotocols are case-sensitive. */
function membersOf(fields: readonly Field[], name: string): string[] {
  return fields
    .filter((field) => field.name === name)
    .flatMap(({ value }) => value.split(',').map((member) => member.trim()))
}

function extensionsOf(fields: readonly Field[]): string[] {
  return listOf(fields, 'sec-websocket-extensions').map((one) => one.split(';', 1)[0]?.trim() ?? '')
}
