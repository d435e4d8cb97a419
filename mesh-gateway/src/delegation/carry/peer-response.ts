/** What a callee answered: whether it is an answer of gRPC at all, and what of it the caller gets. */
import type { Settings } from 'node:http2'
import { GRPC_STATUS, HEADER_REFUSAL, METADATA_REPLICA, MeshError } from '@clawmesh/proto'
import { fieldOnce } from '../field-values.ts'
import { statusOfHttp } from './status-of.ts'

/** Clients of Node take 128 by default, and end the call at more. */
const MAX_HEADERS = 100

/** @param raw names and values in turn */
function tooMany(raw: readonly string[]): boolean {
  return raw.length > MAX_HEADERS * 2
}

/** Of gRPC, and fields of HTTP that Node lets nobody send twice: a client that got both would take neither. */
const ONCE: ReadonlySet<string> = new Set(
  `grpc-status grpc-message grpc-status-details-bin
  access-control-allow-credentials access-control-max-age access-control-request-method age authorization
  content-encoding content-language content-length content-location content-md5 content-range content-type date dnt etag
  expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location
  max-forwards proxy-authorization range referer retry-after tk upgrade-insecure-requests user-agent
  x-content-type-options`.split(/\s+/),
)

/** Of headers, and of trailers: names, values and 32 bytes for each field (RFC 9113, section 6.5.2). Envoy passes 60 KiB. */
export const MAX_METADATA_BYTES = 65_536

/** Smaller ones are passed on without a look at what the caller takes: nothing of gRPC takes less. */
const SURELY_TAKEN_BYTES = 8_192

/** The stream of the caller, by what its connection announces. */
export interface Caller {
  readonly session?: { readonly remoteSettings: Settings } | undefined
}

const ANY_CALLER: Caller = Object.freeze({})

/**
 * Why the head of an answer cannot be passed on; null when it can.
 * @param status `:status`
 * @param raw names and values in turn, trimmed
 * @param alone nothing follows: then the head has to say how the call ended
 */
export function faultOf(
  status: number,
  raw: readonly string[],
  alone: boolean,
  caller: Caller,
): MeshError | null {
  if (status !== 200 || !carriesGrpc(raw))
    return new MeshError(statusOfHttp(status), `the peer answered HTTP ${status}, not gRPC`, {
      facts: { http_status: String(status) },
    })
  if (tooMany(raw)) return new MeshError('MESH_PEER_PROTOCOL', 'the answer has too many headers')
  if (alone && fieldOnce(raw, 'grpc-status') === null) return withoutStatus()
  return tooLarge(raw, 'headers', caller) ?? givenTwice(raw)
}

export function withoutStatus(): MeshError {
  return new MeshError('MESH_PEER_PROTOCOL', 'the peer ended without a grpc-status')
}

function tooLarge(
  raw: readonly string[],
  what: 'headers' | 'trailers',
  { session }: Caller,
): MeshError | null {
  let bytes = raw.length * 16
  for (const text of raw) bytes += text.length
  if (bytes <= SURELY_TAKEN_BYTES) return null
  const said = `the peer answered with ${bytes} bytes of ${what}`
  if (bytes > MAX_METADATA_BYTES)
    return new MeshError('MESH_PEER_METADATA_SIZE', `${said}; ${MAX_METADATA_BYTES} pass`)
  const taken = session?.remoteSettings.maxHeaderListSize ?? bytes
  if (bytes <= taken) return null
  return new MeshError('MESH_PEER_METADATA_SIZE', `${said}; this client takes ${taken}`, {
    hint: 'let the client take more, e.g. by grpc.max_metadata_size, or have the peer send less',
  })
}

/** @param raw the head of an answer, names and values in turn, trimmed */
export function carriesGrpc(raw: readonly string[]): boolean {
  const contentType = fieldOnce(raw, 'content-type')
  return typeof contentType === 'string' && contentType.startsWith('application/grpc')
}

function givenTwice(raw: readonly string[]): MeshError | null {
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] ?? ''
    if (!ONCE.has(name)) continue
    for (let later = i + 2; later < raw.length; later += 2)
      if (raw[later] === name)
        return new MeshError('MESH_PEER_PROTOCOL', `the peer answered ${name} twice`)
  }
  return null
}

/** Said by the gateway, or by nobody: a length that the peer gets wrong would be an error of the gateway's own. */
const OWN_HEADERS: ReadonlySet<string> = new Set(['x-request-id', 'content-length'])

/** Where an answer comes from. The gateway's own services have no certificate, and are heard as the gateway. */
interface Answering {
  readonly certificate: object | null
  readonly replica: string | null
}

function passes(name: string, { certificate }: Answering): boolean {
  return !name.startsWith('x-mesh-') || (certificate === null && name === HEADER_REFUSAL)
}

/** The callee's headers as they came, less what is the gateway's to say. */
export function answerHeaders(
  raw: readonly string[],
  requestId: string,
  session: Answering,
): string[] {
  const { replica } = session
  const headers: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? ''
    if (passes(name, session) && !OWN_HEADERS.has(name)) headers.push(name, raw[i + 1] ?? '')
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

/**
 * Trailers as they came, less what is the gateway's to say: a name that is given twice stays given twice, in its order.
 * @param raw names and values in turn, trimmed
 * @returns a MeshError where they cannot be passed on
 */
export function endTrailers(
  raw: readonly string[],
  session: Answering,
  caller: Caller = ANY_CALLER,
): Record<string, string | string[]> | MeshError {
  if (tooMany(raw)) return new MeshError('MESH_PEER_PROTOCOL', 'the answer has too many trailers')
  const fault = tooLarge(raw, 'trailers', caller) ?? givenTwice(raw)
  if (fault !== null) return fault
  const kept = new Map<string, string | string[]>()
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? ''
    const value = raw[i + 1] ?? ''
    if (name.startsWith(':') || !passes(name, session)) continue
    const before = kept.get(name)
    if (before === undefined) kept.set(name, value)
    else kept.set(name, Array.isArray(before) ? [...before, value] : [before, value])
  }
  return Object.fromEntries(kept)
}

/** Of a grpc-status; what is none is UNKNOWN. */
export function readStatus(value: unknown): number {
  const status = Number(value)
  return Number.isInteger(status) && status >= 0 && status <= 16 ? status : GRPC_STATUS.UNKNOWN
}
