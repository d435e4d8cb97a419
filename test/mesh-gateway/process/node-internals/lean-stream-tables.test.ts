import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { leanStreamTables } from '../../../../mesh-gateway/src/process/node-internals/lean-stream-tables.ts'
import { needNodePatches } from '../need-node-patches.ts'

describe('lean tables of streams in node:http2', () => {
  let server: http2.Http2Server
  let client: ClientHttp2Session
  let serverSession: http2.ServerHttp2Session
  const silent = '/silent'

  before(function () {
    needNodePatches(this)
  })
  beforeEach(async () => {
    server = http2.createServer()
    server.on('session', (session) => {
      serverSession = session
      assert.equal(leanStreamTables(session), true)
    })
    server.on('stream', (stream, headers) => {
      stream.on('error', () => {})
      if (headers[':path'] === silent) return
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ done: 'yes' }))
      stream.pipe(stream)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    assert.ok(address !== null && typeof address !== 'string')
    client = http2.connect(`http://127.0.0.1:${address.port}`)
    assert.equal(leanStreamTables(client), true)
  })
  afterEach(async () => {
    client.destroy()
    server.close()
    await once(server, 'close')
  })

  it('answers two thousand requests, many at once, each with its own body and trailers', async () => {
    const echo = async (body: string) => {
      const stream = client.request({ ':method': 'POST', ':path': '/echo' })
      const trailers = once(stream, 'trailers')
      stream.end(body)
      let answer = ''
      for await (const chunk of stream.setEncoding('utf8')) answer += chunk
      assert.equal(answer, body)
      const [last] = await trailers
      assert.equal(last.done, 'yes')
    }
    for (let round = 0; round < 20; round += 1)
      await Promise.all(Array.from({ length: 100 }, (_, i) => echo(`${round} ${i}`)))
  })

  it('resets one stream among others, from either side', async () => {
    const streams = Array.from({ length: 40 }, () =>
      client.request({ ':method': 'POST', ':path': '/echo' }),
    )
    await Promise.all(streams.map((stream) => once(stream, 'response')))
    const [first, ...others] = streams
    first?.close(http2.constants.NGHTTP2_CANCEL)
    await closed(first)
    for (const stream of others) stream.end('x')
    for (const stream of others) assert.equal((await stream.toArray()).join(''), 'x')
  })

  it('ends all streams when a session is destroyed, those that wait for their number as well', async () => {
    const waiting = client.request({ ':path': silent })
    await once(client, 'connect')
    const open = Array.from({ length: 50 }, () => client.request({ ':path': silent }))
    const ends = [waiting, ...open].map(closed)
    await once(server, 'stream')
    client.destroy()
    await Promise.all(ends)
    assert.ok(open.every((stream) => stream.destroyed))
  })

  it('ends the streams of a connection that the other side closes', async () => {
    const open = Array.from({ length: 50 }, () => client.request({ ':path': silent }))
    await once(server, 'stream')
    const ends = open.map(closed)
    serverSession.destroy()
    await Promise.all(ends)
  })

  it('lets a session that is closed go on to the end of its streams, and then close', async () => {
    const stream = client.request({ ':method': 'POST', ':path': '/echo' })
    await once(stream, 'response')
    client.close()
    stream.end('the end')
    assert.equal((await stream.toArray()).join(''), 'the end')
    if (!client.destroyed) await once(client, 'close')
  })

  it('leaves a session alone that has streams already, or does not look as expected', async () => {
    const stream = client.request({ ':path': '/echo' })
    await once(stream, 'response')
    assert.equal(leanStreamTables(client), false)
    const stranger = Object.create(http2.sensitiveHeaders.constructor.prototype)
    assert.equal(leanStreamTables(stranger), false)
  })
})

async function closed(stream: ClientHttp2Stream | undefined): Promise<void> {
  stream?.on('error', () => {})
  if (stream !== undefined && !stream.closed) await once(stream, 'close').catch(() => {})
}
