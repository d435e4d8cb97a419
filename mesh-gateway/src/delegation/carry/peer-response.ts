/** Checks a callee's answer: whether it is gRPC, and which of its headers and trailers the caller gets. */
import type { Settings } from 'node:http2'
import {
  GRPC_STATUS,
  HEADER_REFUSAL,
  METADATA_REPLICA,
  METADATA_ROOT_ID,
  MeshError,
} from '@clawmesh/proto'
import { fieldOnce } from '../field-values.ts'
import { statusOfHttp } from './status-of.ts'

/** Clients on Node accept 128 fields by default, and end the call at more. */
const MAX_HEADERS = 100

/** @param raw names and values in turn */
function tooMany(raw: readonly string[]): boolean {
  return raw.length > MAX_HEADERS * 2
}

/**
 * Fields of gRPC and HTTP that may occur once: Node refuses to send them twice, and a client that got both would accept
 * neither.
 */
const ONCE: ReadonlySet<string> = new Set(
  `grpc-status grpc-message grpc-status-details-bin
  access-control-allow-credentials access-control-max-age access-control-request-method age authorization
  content-encoding content-language content-length content-location content-md5 content-range content-type date dnt etag
  expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location
  max-forwards proxy-authorization range referer retry-after tk upgrade-insecure-requests user-agent
  x-content-type-options`.split(/\s+/),
)

/**
 * For headers and for trailers each: names, values and 32 bytes per field (RFC 9113, section 6.5.2). Envoy passes 60
 * KiB.
 */
export const MAX_METADATA_BYTES = 65_536

/** Smaller ones are passed on without a check of the client's limit: no gRPC client has a lower limit. */
const SURELY_TAKEN_BYTES = 8_192

/** The caller's stream; its session gives the limits that the client announced. */
export interface Caller {
  readonly session?: { readonly remoteSettings: Settings } | undefined
}

const ANY_CALLER: Caller = Object.freeze({})

/**
 * Returns why the head of an answer cannot be passed on; null when it can.
 * @param status `:status`
 * @param raw names and values in turn, trimmed
 * @param alone nothing follows: then the head must contain the gRPC status
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

/**
 * Never passed on from a peer: the gateway sets the request id, and a wrong content-length would count as an error of
 * the gateway.
 */
const OWN_HEADERS: ReadonlySet<string> = new Set(['x-request-id', 'content-length'])

/** The source of an answer. The gateway's own services have no certificate and may send the gateway's headers. */
interface Answering {
  readonly certificate: object | null
  readonly replica: string | null
}

function passes(name: string, { certificate }: Answering): boolean {
  return !name.startsWith('x-mesh-') || (certificate === null && name === HEADER_REFUSAL)
}

/**
 * The callee's headers unchanged, without those that only the gateway sets.
 * @param rootId of the tree that the call is part of; null outside any
 */
export function answerHeaders(
  raw: readonly string[],
  requestId: string,
  session: Answering,
  rootId: string | null,
): string[] {
  const { replica } = session
  const headers: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? ''
    if (passes(name, session) && !OWN_HEADERS.has(name)) headers.push(name, raw[i + 1] ?? '')
  }
  headers.push('x-request-id', requestId)
  if (replica !== null) headers.push(METADATA_REPLICA, replica)
  if (rootId !== null) headers.push(METADATA_ROOT_ID, rootId)
  return headers
}

/** The value of an `x-mesh-*` header that a callee may send once; null without it. */
export function meshHeader(raw: readonly string[], name: `x-mesh-${string}`): string | null {
  for (let i = 0; i + 1 < raw.length; i += 2) if (raw[i] === name) return raw[i + 1] ?? ''
  return null
}

/**
 * The callee's trailers unchanged, without those that only the gateway sets. Repeated names stay repeated, in their
 * order.
 * @param raw names and values in turn, trimmed
 * @returns a MeshError when they cannot be passed on
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

/** Reads a grpc-status; an invalid value is UNKNOWN. */
export function readStatus(value: unknown): number {
  const status = Number(value)
  return Number.isInteger(status) && status >= 0 && status <= 16 ? status : GRPC_STATUS.UNKNOWN
}
