/** What a callee answered: whether it is an answer of gRPC at all, and what of it the caller gets. */
import type { IncomingHttpHeaders, IncomingHttpStatusHeader } from 'node:http2'
import { GRPC_STATUS, METADATA_REPLICA, MeshError } from '@clawmesh/proto'
import { statusOfHttp } from './status-of.ts'

/** Clients of Node take 128 by default, and end the call at more. */
const MAX_HEADERS = 100

/** @param raw names and values in turn */
export function tooMany(raw: readonly string[]): boolean {
  return raw.length > MAX_HEADERS * 2
}

/** Why the head of an answer cannot be passed on; null when it can. */
export function faultOf(
  headers: IncomingHttpHeaders & IncomingHttpStatusHeader,
  raw: readonly string[],
): MeshError | null {
  const status = headers[':status'] ?? 0
  const contentType = headers['content-type'] ?? ''
  if (status !== 200 || !contentType.startsWith('application/grpc'))
    return new MeshError(statusOfHttp(status), `the peer answered HTTP ${status}, not gRPC`, {
      facts: { http_status: String(status) },
    })
  return tooMany(raw)
    ? new MeshError('MESH_PEER_PROTOCOL', 'the answer has too many headers')
    : null
}

/** Said by the gateway, or by nobody: a length that the peer gets wrong would be an error of the gateway's own. */
const OURS: ReadonlySet<string> = new Set(['x-request-id', 'content-length'])

/** The callee's headers as they came, less what is the gateway's to say. */
export function answerHeaders(
  raw: readonly string[],
  requestId: string,
  replica: string | null,
): string[] {
  const headers: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? ''
    if (!name.startsWith('x-mesh-') && !OURS.has(name)) headers.push(name, raw[i + 1] ?? '')
  }
  headers.push('x-request-id', requestId)
  if (replica !== null) headers.push(METADATA_REPLICA, replica)
  return headers
}

/** Of a header of the mesh's own that a callee may send, once; null without it. */
export function meshHeader(raw: readonly string[], name: `x-mesh-${string}`): string | null {
  for (let i = 0; i + 1 < raw.length; i += 2) if (raw[i] === name) return raw[i + 1] ?? ''
  return null
}

/** Trailers as they came, less what is the gateway's to say. */
export function endTrailers(
  headers: Readonly<Record<string, unknown>>,
): Record<string, string | string[]> {
  const kept: Record<string, string | string[]> = {}
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined || name.startsWith(':') || name.startsWith('x-mesh-')) continue
    kept[name] = Array.isArray(value) ? value.map(String) : String(value)
  }
  return kept
}

/** Of a grpc-status; what is none is UNKNOWN. */
export function readStatus(value: unknown): number {
  const status = Number(value)
  return Number.isInteger(status) && status >= 0 && status <= 16 ? status : GRPC_STATUS.UNKNOWN
}
