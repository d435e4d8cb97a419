/**
 * Looks up a peer and dials each of its addresses, like the gateway for a call; asks those that answer for the time.
 */
import { once } from 'node:events'
import type { ClientHttp2Session } from 'node:http2'
import type { IdentitySnapshot } from '@clawmesh/agent-sdk/mesh'
import { MeshError, type Peer, type SpiffeTemplate } from '@clawmesh/proto'
import { frameMessage } from '../delegation/reflection/read-messages.ts'
import { dial } from '../delegation/upstream/dial.ts'
import { type Endpoint, locate } from '../delegation/upstream/locate.ts'
import { formatEndpoint } from '../resolve/create-resolver.ts'
import type { Resolver } from '../resolve/resolver.ts'
import type { ClockFacts } from './clocks.ts'
import type { PeerAnswer } from './peer.ts'

export interface PeerTarget {
  readonly peer: Peer
  readonly host: string
  readonly port: number | null
}

export interface Asking {
  readonly target: PeerTarget
  readonly resolver: Resolver
  readonly identity: IdentitySnapshot
  readonly spiffe: SpiffeTemplate
  /** delegation.peerPorts of the configuration. */
  readonly peerPorts: readonly number[]
  /** The peer's entry in delegation.peers; null without one. */
  readonly configured: readonly string[] | null
  readonly dialTimeoutMs: number
  readonly now: () => number
}

export interface PeerSeen {
  readonly answers: readonly PeerAnswer[] | MeshError
  /** From the first address that answered. */
  readonly clock: ClockFacts | null
}

const MAX_ENDPOINTS = 16
const ANSWER_MS = 5_000

export async function readPeerFacts(asking: Asking): Promise<PeerSeen> {
  const { target, resolver, peerPorts, configured } = asking
  try {
    const { host, port } = target
    const { endpoints } = await locate(resolver, host, port, peerPorts, configured)
    const seen = await Promise.all(
      endpoints.slice(0, MAX_ENDPOINTS).map((endpoint) => visit(endpoint, asking)),
    )
    const clock = seen.find((one) => one.clock !== null)?.clock ?? null
    return { answers: seen.map(({ answer }) => answer), clock }
  } catch (error) {
    if (error instanceof MeshError) return { answers: error, clock: null }
    throw error
  }
}

async function visit(
  endpoint: Endpoint,
  { target, identity, spiffe, dialTimeoutMs, now }: Asking,
): Promise<{ readonly answer: PeerAnswer; readonly clock: ClockFacts | null }> {
  const where = formatEndpoint(endpoint.ip, endpoint.port)
  try {
    const { host, peer } = target
    const { session } = await dial({
      endpoint,
      host,
      peer,
      snapshot: identity,
      spiffe,
      timeoutMs: dialTimeoutMs,
    })
    try {
      const theirMs = await askTime(session)
      const clock = { peer: `${host} (${where})`, theirMs, ourMs: now() }
      return { answer: { endpoint: where, error: null }, clock }
    } finally {
      session.destroy()
    }
  } catch (error) {
    if (error instanceof MeshError) return { answer: { endpoint: where, error }, clock: null }
    throw error
  }
}

/** Any answer carries a date (RFC 9110, section 6.6.1); null when this one does not. */
async function askTime(session: ClientHttp2Session): Promise<number | null> {
  const stream = session.request({
    ':method': 'POST',
    ':path': '/grpc.health.v1.Health/Check',
    'content-type': 'application/grpc',
    te: 'trailers',
  })
  stream.on('error', () => {})
  stream.end(frameMessage(Buffer.alloc(0)))
  try {
    const [headers] = await once(stream, 'response', { signal: AbortSignal.timeout(ANSWER_MS) })
    const { date } = headers
    const theirMs = typeof date === 'string' ? Date.parse(date) : Number.NaN
    return Number.isNaN(theirMs) ? null : theirMs
  } catch {
    // the certificate was valid, which was the question; silence is no failure
    return null
  }
}
