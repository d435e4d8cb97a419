/** What Node does about fields beyond the fixed limit of nghttp2: docs/discoveries/a-field-of-64-kib-ends-a-connection.md */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientHttp2Session, connect, createServer, type Http2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'

const LIMIT = 65_536

describe('a header field of a peer', () => {
  let server: Http2Server
  let session: ClientHttp2Session
  beforeEach(async () => {
    server = createServer({ maxSendHeaderBlockLength: 1 << 20 })
    server.on('sessionError', () => {})
    server.on('stream', (stream, headers) => {
      stream.on('error', () => {})
      const size = Number(headers['x-size'] ?? Number.NaN)
      // a character that Huffman coding makes longer, so that it is sent as it is
      if (!Number.isNaN(size)) stream.respond({ 'x-big': '~'.repeat(size) }, { endStream: true })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    session = connect(`http://127.0.0.1:${port}`, {
      maxHeaderListPairs: 4_000,
      settings: { maxHeaderListSize: 1 << 20 },
    })
    session.on('error', () => {})
  })
  afterEach(() => {
    session.destroy()
    server.close()
  })

  /** Asks for a field of that size while another call is open; how the two calls end. */
  async function ask(size: number) {
    const open = session.request({ ':path': '/open' })
    const cut = new Promise((resolve) => open.once('error', resolve))
    const big = session.request({ ':path': '/big', 'x-size': String(size) })
    const end = await new Promise<string>((resolve) => {
      big.once('response', () => resolve('answered'))
      big.once('error', ({ message }) => resolve(message))
    })
    return { end, open, cut }
  }

  it('of 64 KiB arrives', async () => {
    const { end, open } = await ask(LIMIT)
    assert.equal(end, 'answered')
    assert.equal(open.closed, false)
  })

  it('of a byte more ends the connection and the other calls on it, which no option of Node changes', async () => {
    const closed = new Promise((resolve) => session.once('close', resolve))
    const { end, cut } = await ask(LIMIT + 1)
    assert.equal(end, 'Protocol error')
    await Promise.all([cut, closed])
  })
})
