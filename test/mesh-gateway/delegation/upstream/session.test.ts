import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, performServerHandshake } from 'node:http2'
import { duplexPair } from 'node:stream'
import { wrapSession } from '../../../../mesh-gateway/src/delegation/upstream/session.ts'

describe('a session to a peer', () => {
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
