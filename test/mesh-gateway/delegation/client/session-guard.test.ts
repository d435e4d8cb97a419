/** A real connection of HTTP/2, watched by a guard whose seconds the test counts. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  type ClientHttp2Session,
  connect,
  constants,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
} from 'node:http2'
import {
  DEFAULT_GUARD_LIMITS,
  type GuardLimits,
} from '../../../../mesh-gateway/src/config/guard-limits.ts'
import {
  createSessionGuard,
  type SessionGuard,
} from '../../../../mesh-gateway/src/delegation/client/session-guard.ts'
import { listenOnFreePort } from '../../../support/http-origin.ts'
import { waitFor } from '../../../support/wait-for.ts'

interface Watched {
  readonly client: ClientHttp2Session
  readonly session: ServerHttp2Session
  readonly guard: SessionGuard
  /** Why the connection was cut. */
  readonly cuts: readonly string[]
  readonly endedCalls: () => number
  /** What `opened` said of each stream. */
  readonly opened: readonly boolean[]
  readonly resets: () => number
  readonly pings: () => number
}

describe('the guard of a connection', () => {
  let server: Http2Server
  let client: ClientHttp2Session | undefined
  beforeEach(() => {
    server = createServer()
  })
  afterEach(async () => {
    client?.destroy()
    server.close()
    await once(server, 'close')
  })

  async function watched(limits: Partial<GuardLimits>): Promise<Watched> {
    const cuts: string[] = []
    const opened: boolean[] = []
    const counted = { resets: 0, pings: 0, endedCalls: 0 }
    const meter = { bytes: 0 }
    const found = once(server, 'session')
    const port = await listenOnFreePort(server)
    const dialled = connect(`http://127.0.0.1:${port}`)
    dialled.on('error', () => {})
    client = dialled
    const [session]: ServerHttp2Session[] = await found
    assert.ok(session)
    session.on('error', () => {})
    const guard = createSessionGuard({
      session,
      limits: { ...DEFAULT_GUARD_LIMITS, ...limits },
      ...{ windowBytes: 65_536, meter, nowMs: 0 },
      onCut: (reason) => cuts.push(reason),
      endCalls() {
        counted.endedCalls += 1
      },
    })
    session.on('ping', () => {
      counted.pings += 1
    })
    session.on('stream', (stream) => {
      stream.on('error', () => {})
      opened.push(guard.opened(stream))
      // after the listener of the guard
      stream.once('close', () => {
        if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) counted.resets += 1
      })
      if (stream.destroyed) return
      stream.respond({ ':status': 200 })
      // it ends when the client has ended
      stream.resume()
      stream.once('end', () => stream.end())
    })
    await once(session, 'remoteSettings')
    return {
      ...{ client: dialled, session, guard, cuts, opened },
      endedCalls: () => counted.endedCalls,
      resets: () => counted.resets,
      pings: () => counted.pings,
    }
  }

  const ask = (from: ClientHttp2Session) => {
    const request = from.request({ ':path': '/' }, { endStream: false })
    request.on('error', () => {})
    return request
  }

  it('allows ten seconds’ worth of resets at once, and cuts it for the next', async () => {
    const { client, guard, cuts, resets } = await watched({ resetsPerSecond: 2 })
    const reset = async (times: number) => {
      const wanted = resets() + times
      for (let i = 0; i < times; i += 1) {
        const request = ask(client)
        await once(request, 'response')
        request.close(constants.NGHTTP2_CANCEL)
      }
      await waitFor('the resets', () => resets() === wanted)
    }
    await reset(20)
    guard.tick(1_000)
    await reset(2)
    assert.deepEqual(cuts, [])
    const gone = once(client, 'goaway')
    await reset(1)
    assert.deepEqual(cuts, ['resets'])
    assert.equal((await gone)[0], constants.NGHTTP2_ENHANCE_YOUR_CALM)
  })

  it('does not count calls that end as they should', async () => {
    const { client, cuts, opened } = await watched({ resetsPerSecond: 1 })
    for (let i = 0; i < 11; i += 1) {
      const request = ask(client)
      request.end()
      request.resume()
      await once(request, 'close')
    }
    assert.equal(opened.length, 11)
    assert.deepEqual(cuts, [])
  })

  it('allows two seconds’ worth of calls at once, and cuts it for the next', async () => {
    const { client, guard, cuts, opened } = await watched({ streamsPerSecond: 3 })
    const open = async (times: number) => {
      const wanted = opened.length + times
      for (let i = 0; i < times; i += 1) ask(client)
      await waitFor('the calls', () => opened.length === wanted)
    }
    await open(6)
    guard.tick(1_000)
    await open(3)
    assert.deepEqual(cuts, [])
    await open(1)
    assert.deepEqual(cuts, ['streams'])
    assert.deepEqual(opened, [...Array.from({ length: 9 }, () => true), false])
  })

  it('cuts it once: the calls that end with it are no resets of the client', async () => {
    const limits = { streamsPerSecond: 10, resetsPerSecond: 1 }
    const { client, cuts, resets } = await watched(limits)
    const gone = new Promise((resolve) => client.once('close', resolve))
    for (let i = 0; i < 21; i += 1) ask(client)
    await gone
    await waitFor('the ends of the calls', () => resets() >= 20)
    assert.deepEqual(cuts, ['streams'])
  })

  it('allows two seconds’ worth of control frames at once, and cuts it for the next', async () => {
    const { client, guard, cuts, pings } = await watched({ controlFramesPerSecond: 3 })
    const ping = async (times: number) => {
      const wanted = pings() + times
      for (let i = 0; i < times; i += 1) client.ping(() => {})
      await waitFor('the pings', () => pings() === wanted)
    }
    // beside the settings of the client
    await ping(5)
    guard.tick(1_000)
    await ping(3)
    assert.deepEqual(cuts, [])
    await ping(1)
    assert.deepEqual(cuts, ['control-frames'])
  })

  it('asks a silent client by PING, and cuts it when that is not answered either', async () => {
    const { client, session, guard, cuts } = await watched({ pingMs: 1_000 })
    const asked = once(client, 'ping')
    const heard = session.socket.bytesRead
    guard.tick(0)
    guard.tick(999)
    guard.tick(1_000)
    await asked
    // the answer is bytes from the client
    await waitFor('the answer', () => session.socket.bytesRead > heard)
    guard.tick(1_001)
    guard.tick(2_000)
    assert.deepEqual(cuts, [])
    // asked again here, and the answer has no time to come
    guard.tick(2_001)
    guard.tick(3_000)
    assert.deepEqual(cuts, [])
    guard.tick(3_001)
    assert.deepEqual(cuts, ['no-answer'])
  })

  it('says goodbye to an old connection, ends its calls after the grace time, and it at the next look', async () => {
    const { client, session, guard, endedCalls } = await watched({
      ...{ connectionAgeMs: 1_000, connectionAgeGraceMs: 500, pingMs: 1_000_000 },
    })
    const request = ask(client)
    await once(request, 'response')
    guard.tick(899)
    const goodbye = once(client, 'goaway')
    // plus or minus a tenth
    guard.tick(1_100)
    assert.equal((await goodbye)[0], constants.NGHTTP2_NO_ERROR)
    guard.tick(1_599)
    assert.equal(endedCalls(), 0)
    guard.tick(1_600)
    assert.equal(endedCalls(), 1)
    assert.equal(session.destroyed, false)
    guard.tick(1_601)
    assert.equal(session.destroyed, true)
    assert.equal(endedCalls(), 1)
  })
})
