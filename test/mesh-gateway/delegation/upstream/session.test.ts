import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientHttp2Stream, connect, performServerHandshake } from 'node:http2'
import { duplexPair } from 'node:stream'
import { MeshError } from '@clawmesh/proto'
import { wrapSession } from '../../../../mesh-gateway/src/delegation/upstream/session.ts'

const TIMES = { idleMs: 60_000, pingMs: 60_000, ageMs: 0, notAfterMs: Number.POSITIVE_INFINITY }
const HEADERS = [':method', 'POST', ':path', '/a.B/C', ':scheme', 'https', ':authority', 'peer']

/** Null when it says that nothing was sent. */
function opened(open: () => ClientHttp2Stream): ClientHttp2Stream | null {
  try {
    return open()
  } catch (error) {
    assert.equal(error instanceof MeshError && error.code, 'MESH_PEER_LOST')
    return null
  }
}

describe('a session to a peer', () => {
  /** With an end of the peer that answers nothing. */
  async function begin() {
    const [near, far] = duplexPair()
    const server = performServerHandshake(far)
    server.on('error', () => {})
    server.on('stream', (stream) => stream.on('error', () => {}))
    const session = connect('http://peer', { createConnection: () => near })
    session.on('error', () => {})
    await once(session, 'remoteSettings')
    const peer = wrapSession(session, {
      ...{ peerId: '', certificate: null, ip: null, port: null, ...TIMES, onClose: () => {} },
    })
    return { session, server, peer }
  }

  it('says that nothing was sent when it began to close after a place was reserved', async () => {
    for (const end of ['close', 'destroy'] as const) {
      const { session, server, peer } = await begin()
      assert.ok(peer.reserve())
      session[end]()
      // Node 24.16 throws at once, 24.21 ends the stream
      const stream = opened(() => peer.open(HEADERS))
      if (stream !== null) {
        await new Promise((resolve) => stream.on('error', () => {}).on('close', resolve))
        assert.equal(peer.unprocessed(stream), true)
      }
      assert.equal(peer.active, 0)
      server.destroy()
    }
  })

  it('ends a stream for which no number is left as one that the peer has not seen', async () => {
    const { session, server, peer } = await begin()
    const setNext: unknown = Reflect.get(session, 'setNextStreamID')
    assert.ok(typeof setNext === 'function')
    Reflect.apply(setNext, session, [2 ** 31 - 1])
    const streams = [0, 1].map(() => {
      assert.ok(peer.reserve())
      return peer.open(HEADERS)
    })
    const [last, beyond] = streams
    assert.ok(last && beyond)
    last.on('error', () => {})
    const [error] = await once(beyond, 'error')
    assert.equal(error.code, 'ERR_HTTP2_OUT_OF_STREAMS')
    assert.equal(peer.unprocessed(beyond), true)
    peer.destroy()
    server.destroy()
  })

  it('takes no call once the certificate of the peer has ended, and closes', async () => {
    const [near, far] = duplexPair()
    const server = performServerHandshake(far)
    server.on('error', () => {})
    const session = connect('http://peer', { createConnection: () => near })
    session.on('error', () => {})
    await once(session, 'remoteSettings')
    const closed = Promise.withResolvers<void>()
    const times = { idleMs: 60_000, pingMs: 60_000, ageMs: 0 }
    const made = (notAfterMs: number) =>
      wrapSession(session, {
        ...{ peerId: '', certificate: null, ip: null, port: null, notAfterMs, ...times },
        onClose: closed.resolve,
      })
    const good = made(Date.now() + 60_000)
    assert.equal(good.reserve(), true)
    good.release()
    assert.equal(made(Date.now() - 1).reserve(), false)
    await closed.promise
    server.destroy()
  })

  it('is not asked for a sign of life in the moment of its end, which would end the process', async () => {
    const [near, far] = duplexPair()
    const server = performServerHandshake(far)
    server.on('error', () => {})
    const session = connect('http://peer', { createConnection: () => near })
    session.on('error', () => {})
    await once(session, 'remoteSettings')
    const closed = Promise.withResolvers<void>()
    const pingMs = 20
    const wrapped = wrapSession(session, {
      ...{ peerId: '', certificate: null, ip: null, port: null },
      ...{ notAfterMs: Number.POSITIVE_INFINITY, idleMs: 60_000, pingMs, ageMs: 0 },
      onClose: closed.resolve,
    })
    assert.ok(wrapped.reserve())
    // its timer is due before anybody has heard of the end
    const dueMs = performance.now() + pingMs * 2
    while (performance.now() < dueMs);
    session.destroy()
    await closed.promise
    server.destroy()
  })
})
