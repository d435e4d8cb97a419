/**
 * HTTP/2 sessions to the gateway's own services, over connections within the process. Each tenant has a pool of its
 * own, and each pool has a bound.
 */
import { once } from 'node:events'
import { connect } from 'node:http2'
import { type Duplex, duplexPair } from 'node:stream'
import { MeshError } from '@clawmesh/proto'
import { type UpstreamSession, wrapSession } from '../upstream/session.ts'

export interface SessionPools {
  /**
   * A session with a place kept for one stream: one that is open, or a new one.
   * @param most sessions that the tenant may have
   * @throws MeshError MESH_LIMIT_CONCURRENCY
   */
  acquire(tenant: string, most: number): UpstreamSession | Promise<UpstreamSession>
  close(): void
}

/** The connections of one tenant. */
interface Pool {
  readonly sessions: Set<UpstreamSession>
  opening: number
}

/** A connection without calls is closed after this, in milliseconds. */
const IDLE_MS = 60_000

/**
 * @param inject gives the far end of a connection to the server
 * @param ownId the gateway's SPIFFE ID
 */
export function createSessionPools(inject: (far: Duplex) => void, ownId: string): SessionPools {
  const tenants = new Map<string, Pool>()

  async function open(tenant: string, pool: Pool): Promise<UpstreamSession> {
    const [near, far] = duplexPair()
    inject(far)
    const session = connect('http://self', { createConnection: () => near })
    session.on('error', () => {})
    pool.opening += 1
    await once(session, 'remoteSettings').finally(() => {
      pool.opening -= 1
    })
    session.unref()
    const wrapped = wrapSession(session, {
      peerId: ownId,
      ip: null,
      port: null,
      certificate: null,
      notAfterMs: Number.POSITIVE_INFINITY,
      idleMs: IDLE_MS,
      pingMs: IDLE_MS,
      ageMs: 0,
      onClose: () => {
        pool.sessions.delete(wrapped)
        if (pool.sessions.size + pool.opening === 0) tenants.delete(tenant)
      },
    })
    pool.sessions.add(wrapped)
    if (!wrapped.reserve()) throw tooMany()
    return wrapped
  }

  return {
    acquire(tenant, most) {
      const pool = tenants.get(tenant) ?? { sessions: new Set(), opening: 0 }
      tenants.set(tenant, pool)
      for (const session of pool.sessions) if (session.reserve()) return session
      if (pool.sessions.size + pool.opening >= most) throw tooMany()
      return open(tenant, pool)
    },
    close() {
      for (const { sessions } of tenants.values()) for (const one of [...sessions]) one.destroy()
    },
  }
}

function tooMany(): MeshError {
  return new MeshError(
    'MESH_LIMIT_CONCURRENCY',
    'the tenant has too many calls to the gateway itself',
    {
      retryAfterMs: 1_000,
    },
  )
}
