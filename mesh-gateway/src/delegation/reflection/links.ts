/**
 * Connections within the process through which reflection calls pass, created on demand. Each tenant has its own,
 * because a thousand cancelled calls end a connection.
 */
import {
  connect,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Stream,
} from 'node:http2'
import { duplexPair } from 'node:stream'
import { MeshError } from '@clawmesh/proto'
import { type UpstreamSession, wrapSession } from '../upstream/session.ts'

export interface Links {
  /**
   * The near side of the tenant's connection, with a place reserved for one stream. @throws MeshError MESH_PEER_LOST
   */
  acquire(tenant: string): UpstreamSession
  close(): void
}

/** A connection without calls is closed after this, in milliseconds. */
const IDLE_MS = 60_000

/** @param onStream called on the far side for each stream, with its headers by name */
export function createLinks(
  onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
): Links {
  const current = new Map<string, UpstreamSession>()
  const all = new Set<UpstreamSession>()

  function make(tenant: string): UpstreamSession {
    const [nearEnd, farEnd] = duplexPair()
    const far = performServerHandshake(farEnd)
    far.on('error', () => {})
    far.on('stream', onStream)
    const near = connect('http://reflection', { createConnection: () => nearEnd })
    near.on('error', () => {})
    near.unref()
    const link = wrapSession(near, {
      peerId: '',
      certificate: null,
      ip: null,
      port: null,
      notAfterMs: Number.POSITIVE_INFINITY,
      idleMs: IDLE_MS,
      pingMs: IDLE_MS,
      ageMs: 0,
      onClose: () => {
        far.destroy()
        all.delete(link)
        if (current.get(tenant) === link) current.delete(tenant)
      },
    })
    all.add(link)
    current.set(tenant, link)
    return link
  }

  return {
    acquire(tenant) {
      const known = current.get(tenant)
      if (known?.reserve() === true) return known
      const link = make(tenant)
      if (!link.reserve()) throw new MeshError('MESH_PEER_LOST')
      return link
    },
    close() {
      for (const link of [...all]) link.destroy()
    },
  }
}
