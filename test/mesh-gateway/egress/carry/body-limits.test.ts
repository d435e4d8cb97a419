/** What counts towards `maxBodyBytes` of a body in chunks, and how much may stand around its payload at all. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createBodyDecoder } from '../../../../mesh-gateway/src/egress/http1/body-decoder.ts'
import { rawClient, sendRaw } from '../fixture.ts'
import { basic, get, setUp } from '../setup.ts'

const CHUNKED = 'Connection: close\r\nTransfer-Encoding: chunked\r\n'
const MAX = 1000

/** A chunk with an extension of so many bytes, its semicolon among them. */
function chunk(payload: string, extension = 0): string {
  const text = extension === 0 ? '' : `;${'e'.repeat(extension - 1)}`
  return `${payload.length.toString(16)}${text}\r\n${payload}\r\n`
}

describe('a body in chunks', () => {
  const setup = setUp()
  afterEach(setup.close)

  async function open(limits: object) {
    let heard = ''
    const upstream = await setup.upstream((socket) => {
      socket.on('data', (data: Buffer) => {
        heard += data.toString('latin1')
        if (heard.endsWith('0\r\n\r\n') || heard.endsWith('X-T: y\r\n\r\n'))
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      })
    })
    const egress = await setup.egress(upstream.port, { egress: { limits } })
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const ask = (body: string) =>
      sendRaw(egress.number, get(upstream.port, auth + CHUNKED, '/', 'POST') + body)
    return { upstream, egress, auth, ask, heard: () => heard }
  }

  it('is taken up to the limit, however small its chunks are', async () => {
    const { ask } = await open({ maxBodyBytes: MAX })
    assert.match(await ask(`${chunk('x').repeat(MAX)}0\r\n\r\n`), /^HTTP\/1\.1 200 /)
  })

  for (const [what, body] of [
    ['one chunk', chunk('x'.repeat(MAX + 1))],
    ['many chunks', chunk('x').repeat(MAX + 1)],
    ['chunks whose extensions are larger than their payload', chunk('x', 230).repeat(5)],
    [
      'an extension of its last chunk',
      `${chunk('x'.repeat(MAX - 100))}0;${'e'.repeat(200)}\r\n\r\n`,
    ],
    ['trailers', `${chunk('x'.repeat(MAX - 100))}0\r\nX-T: ${'y'.repeat(200)}\r\n\r\n`],
  ] as const)
    it(`is refused beyond the limit, by ${what}`, async () => {
      const { ask, egress, heard } = await open({ maxBodyBytes: MAX })
      assert.match(await ask(body), /^HTTP\/1\.1 413 [\s\S]*MESH_LIMIT_SIZE/)
      assert.doesNotMatch(heard(), /0\r\n\r\n$/)
      const record = await egress.record(0)
      assert.deepEqual(
        [record.reason, record.status, record.action_allowed],
        ['MESH_LIMIT_SIZE', 413, false],
      )
    })

  it('is refused at the limit while it comes, and its destination is left', async () => {
    const { upstream, egress, auth } = await open({ maxBodyBytes: MAX })
    const client = await rawClient(egress.number)
    client.send(get(upstream.port, auth + CHUNKED, '/', 'POST'))
    client.send(chunk('x'.repeat(MAX)))
    while (upstream.connections.length === 0) await new Promise(setImmediate)
    const [socket] = upstream.connections
    assert.ok(socket)
    const closed = once(socket, 'close')
    socket.on('end', () => socket.end())
    client.send(chunk('x'))
    assert.match(await client.rest(), /^HTTP\/1\.1 413 /)
    await closed
    client.socket.destroy()
  })

  it('has no more around its payload than clients put there, where nothing is limited', async () => {
    const { ask } = await open({})
    assert.match(await ask(`${chunk('x', 200).repeat(20)}0\r\n\r\n`), /^HTTP\/1\.1 200 /)
    const again = await open({})
    assert.match(await again.ask(chunk('x', 200).repeat(1150)), /^HTTP\/1\.1 400 [\s\S]*extensions/)
  })

  it('may have an extension on each chunk for as long as it carries more than that', () => {
    let payload = 0
    const decoder = createBodyDecoder('chunked', (data) => {
      payload += data.length
    })
    const piece = Buffer.from(chunk('x'.repeat(1000), 200))
    for (let count = 0; count < 1000; count += 1) decoder.push(piece)
    assert.equal(payload, 1_000_000)
  })
})
