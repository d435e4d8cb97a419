import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, performServerHandshake } from 'node:http2'
import { duplexPair } from 'node:stream'
import { wrapSession } from '../../../../mesh-gateway/src/delegation/upstream/session.ts'

describe('a session to a peer', () => {
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
