/** When a session to a peer takes a stream, when no more, and when it closes. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  type ClientHttp2Stream,
  connect,
  constants,
  performServerHandshake,
  type ServerHttp2Stream,
} from 'node:http2'
import { duplexPair } from 'node:stream'
import { mock } from 'node:test'
import type { ReplicaMarks } from '../../../../mesh-gateway/src/delegation/upstream/replica.ts'
import {
  type SessionOptions,
  wrapSession,
} from '../../../../mesh-gateway/src/delegation/upstream/session.ts'
import { FLAG, FRAME, type Frame, frame, rawSide, SETTING } from '../../../support/raw-http2.ts'
import { waitFor } from '../../../support/wait-for.ts'

const HOUR_MS = 3_600_000
const HEADERS = [':method', 'POST', ':scheme', 'http', ':authority', 'peer', ':path', '/a.B/C']
const { NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM } = constants

const wrapped = (session: Parameters<typeof wrapSession>[0], more: Partial<SessionOptions>) => {
  let closed = false
  const one = wrapSession(session, {
    ...{ peerId: 'peer', certificate: null, ip: null, port: null },
    ...{ notAfterMs: Number.POSITIVE_INFINITY, idleMs: HOUR_MS, pingMs: HOUR_MS, ageMs: 0 },
    onClose: () => {
      closed = true
    },
    ...more,
  })
  return { one, isClosed: () => closed }
}

/** A peer with Node's HTTP/2, which gives signs of life by itself. */
async function withPeer(more: Partial<SessionOptions> = {}, maxConcurrentStreams = 100) {
  const [near, far] = duplexPair()
  const server = performServerHandshake(far, { settings: { maxConcurrentStreams } })
  server.on('error', () => {})
  const streams: ServerHttp2Stream[] = []
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    streams.push(stream)
  })
  const session = connect('http://peer', { createConnection: () => near })
  session.on('error', () => {})
  await once(session, 'remoteSettings')
  const { one, isClosed } = wrapped(session, more)
  const open = () => {
    assert.equal(one.reserve(), true)
    const stream = one.open(HEADERS)
    stream.on('error', () => {})
    return stream
  }
  const end = async (stream: ClientHttp2Stream) => {
    stream.close()
    if (!stream.closed || !stream.destroyed) await once(stream, 'close')
  }
  return { one, isClosed, session, server, streams, open, end }
}

/** The first frame of Node, and how a session asks for a sign of life. */
const isEmptySettings = ({ type, flags, payload }: Frame) =>
  type === FRAME.SETTINGS && flags === 0 && payload.length === 0

/** A peer that says nothing by itself. */
async function withMutePeer(more: Partial<SessionOptions> = {}) {
  const [near, far] = duplexPair()
  const peer = rawSide(far, { prefaced: true })
  const session = connect('http://peer', { createConnection: () => near })
  session.on('error', () => {})
  const settled = once(session, 'remoteSettings')
  await peer.send(frame(FRAME.SETTINGS, 0, 0), frame(FRAME.SETTINGS, FLAG.ACK, 0))
  await settled
  await peer.frame(isEmptySettings)
  let asked = 0
  peer.onFrame((got) => {
    if (isEmptySettings(got)) asked += 1
  })
  const { one, isClosed } = wrapped(session, more)
  const open = () => {
    assert.equal(one.reserve(), true)
    const stream = one.open(HEADERS)
    stream.on('error', () => {})
    return stream
  }
  return { one, isClosed, session, peer, open, asked: () => asked }
}

describe('a session to a peer, from its first stream to its last', () => {
  it('takes as many streams as the peer allows, and a place that is given back is free', async () => {
    const { one, session, server } = await withPeer({}, 2)
    assert.deepEqual([one.reserve(), one.reserve(), one.reserve()], [true, true, false])
    assert.equal(one.active, 2)
    one.release()
    assert.deepEqual([one.active, one.reserve(), one.reserve()], [1, true, false])
    const changed = once(session, 'remoteSettings')
    server.settings({ maxConcurrentStreams: 3 })
    await changed
    assert.deepEqual([one.reserve(), one.reserve()], [true, false])
    server.destroy()
  })

  it('counts a stream from its reservation to its end', async () => {
    const { one, open, end, server } = await withPeer()
    const stream = open()
    assert.equal(one.active, 1)
    await end(stream)
    assert.equal(one.active, 0)
    server.destroy()
  })

  it('that is retired takes no more, and closes with its last stream', async () => {
    const { one, open, end, isClosed, session } = await withPeer()
    const stream = open()
    one.retire()
    assert.equal(one.reserve(), false)
    assert.equal(session.closed, false)
    await end(stream)
    await waitFor('the end', isClosed)
    assert.equal(one.gone, true)
    const idle = await withPeer()
    idle.one.retire()
    await waitFor('the end of the other', idle.isClosed)
  })

  it('is closed when it had no stream for long, and not while it has one', async () => {
    const { one, isClosed } = await withPeer({ idleMs: 300, pingMs: 20 })
    assert.equal(one.reserve(), true)
    // more looks than it takes without a stream
    await new Promise((resolve) => setTimeout(resolve, 400))
    assert.equal(isClosed(), false)
    const sinceMs = performance.now()
    one.release()
    await waitFor('the end', isClosed)
    assert.ok(performance.now() - sinceMs >= 290, 'its time began with the release')
  })

  it('leaves no clock behind when it has closed', async () => {
    const started = mock.method(globalThis, 'setInterval')
    const stopped = mock.method(globalThis, 'clearInterval')
    try {
      const { one, isClosed } = await withPeer({ pingMs: 3_599_997 })
      const clock = started.mock.calls.find(({ arguments: [, ms] }) => ms === 3_599_997)?.result
      assert.ok(clock !== undefined)
      one.retire()
      await waitFor('the end', isClosed)
      assert.ok(stopped.mock.calls.some(({ arguments: [stops] }) => stops === clock))
    } finally {
      started.mock.restore()
      stopped.mock.restore()
    }
  })

  it('that is old takes no more, and lets its streams end', async () => {
    const { one, open, end, isClosed } = await withPeer({ ageMs: 60, pingMs: 20 })
    const stream = open()
    await waitFor('its age', () => {
      const tookOne = one.reserve()
      if (tookOne) one.release()
      return !tookOne
    })
    assert.deepEqual([one.gone, stream.destroyed], [false, false])
    await end(stream)
    await waitFor('the end', isClosed)
  })

  it('is given up when it is asked for a sign of life and gives none, with its streams cancelled', async () => {
    const { one, open, isClosed, asked } = await withMutePeer({ pingMs: 30 })
    const stream = open()
    await waitFor('the end', isClosed)
    assert.deepEqual([asked(), one.gone, stream.rstCode], [1, true, NGHTTP2_CANCEL])
  })

  it('goes on while it gives signs of life, is asked for none without a stream, and never by PING, which gRPC counts', async () => {
    const { one, open, isClosed, peer, asked } = await withMutePeer({ pingMs: 20 })
    await new Promise((resolve) => setTimeout(resolve, 120))
    assert.equal(asked(), 0)
    peer.onFrame((got) => {
      if (isEmptySettings(got)) void peer.send(frame(FRAME.SETTINGS, FLAG.ACK, 0))
    })
    open()
    await waitFor('five of them', () => asked() >= 5)
    assert.equal(isClosed(), false)
    assert.equal(
      peer.frames.some(({ type }) => type === FRAME.PING),
      false,
    )
    one.destroy()
    await waitFor('the end', isClosed)
  })

  it('after GOAWAY takes no more, and tells which streams the peer has not seen', async () => {
    const { one, open, session, peer } = await withMutePeer()
    const [first, second] = [open(), open()]
    await peer.frame(({ type, stream }) => type === FRAME.HEADERS && stream === 3)
    assert.deepEqual([one.unprocessed(first), one.unprocessed(second)], [false, false])
    const last = Buffer.alloc(8)
    last.writeUInt32BE(1, 0)
    const told = once(session, 'goaway')
    await peer.send(frame(FRAME.GOAWAY, 0, 0, last))
    await told
    assert.equal(one.reserve(), false)
    assert.deepEqual([one.unprocessed(first), one.unprocessed(second)], [false, true])
    one.destroy()
  })

  it('tells of a stream that the peer refused that it was not seen', async () => {
    const { one, open, streams, server } = await withPeer()
    const stream = open()
    await waitFor('the stream', () => streams.length === 1)
    streams[0]?.close(NGHTTP2_REFUSED_STREAM)
    await waitFor('its end', () => stream.destroyed)
    assert.equal(one.unprocessed(stream), true)
    const other = open()
    await waitFor('the other', () => streams.length === 2)
    streams[1]?.close(NGHTTP2_CANCEL)
    await waitFor('its end', () => other.destroyed)
    assert.equal(one.unprocessed(other), false)
    server.destroy()
  })

  it('is retired after five hundred cancelled streams, and not for those that end well', async () => {
    // Node's own server would end the connection before, for as many resets
    const { one, open } = await withMutePeer()
    /** So many at once. */
    const ended = (count: number, code: number) =>
      Promise.all(
        Array.from({ length: count }, () => {
          const stream = open()
          const closed = new Promise((resolve) => stream.once('close', resolve))
          stream.close(code)
          return closed
        }),
      )
    await ended(600, constants.NGHTTP2_NO_ERROR)
    await ended(450, NGHTTP2_CANCEL)
    assert.equal(one.reserve(), true)
    one.release()
    // thirty of them are forgiven in each second
    for (let more = 0; more < 100 && one.reserve(); more += 1) {
      one.release()
      await ended(50, NGHTTP2_CANCEL)
    }
    assert.equal(one.reserve(), false)
    one.destroy()
  })

  it('is given up when the peer changes its settings without end', async () => {
    const { one, isClosed, peer } = await withMutePeer()
    const streams = Buffer.alloc(6)
    streams.writeUInt16BE(SETTING.MAX_CONCURRENT_STREAMS, 0)
    streams.writeUInt32BE(7, 2)
    const settings = frame(FRAME.SETTINGS, 0, 0, streams)
    for (let n = 0; n < 900; n += 1) await peer.send(settings)
    await waitFor('the last of them', () => {
      const acks = peer.frames.filter(({ type, flags }) => type === FRAME.SETTINGS && flags === 1)
      return acks.length >= 900
    })
    assert.equal(isClosed(), false)
    for (let n = 0; n < 200; n += 1) await peer.send(settings)
    await waitFor('the end', isClosed)
    assert.equal(one.reserve(), false)
  })

  it('takes back the place of a call whose metadata cannot be sent, and of one that came too late', async () => {
    const { one, session, open } = await withPeer()
    assert.equal(one.reserve(), true)
    assert.throws(() => one.open([...HEADERS, 'content-type', 'a', 'content-type', 'b']), {
      code: 'MESH_ROUTE_MALFORMED',
    })
    assert.equal(one.active, 0)
    assert.equal(one.reserve(), true)
    session.destroy()
    const late = one.open(HEADERS)
    late.on('error', () => {})
    await waitFor('its end', () => late.destroyed)
    assert.equal(one.unprocessed(late), true, 'it may be tried elsewhere')
    await waitFor('its place', () => one.active === 0)
    assert.equal(one.reserve(), false)
    assert.throws(open)
  })

  it('takes none and closes when its peer must get none any more', async () => {
    let good = true
    const { one, isClosed } = await withPeer({ isGood: () => good })
    assert.equal(one.reserve(), true)
    one.release()
    good = false
    assert.equal(one.reserve(), false)
    await waitFor('the end', isClosed)
  })

  it('has the mark of its replica by the keys of now, computed once for each of them', async () => {
    let generation = 1
    let asked = 0
    const marks: ReplicaMarks = {
      of(ip, port) {
        asked += 1
        return `${ip} ${port} ${generation}`
      },
      all: () => assert.fail('one is enough'),
      generation: () => generation,
    }
    const { one, server } = await withPeer({ marks, ip: '192.0.2.1', port: 7 })
    assert.deepEqual([one.replica, one.replica, asked], ['192.0.2.1 7 1', '192.0.2.1 7 1', 1])
    generation = 2
    assert.deepEqual([one.replica, asked], ['192.0.2.1 7 2', 2])
    server.destroy()
    const own = await withPeer({ marks, ip: null, port: 7 })
    assert.equal(own.one.replica, null)
    own.server.destroy()
  })
})
