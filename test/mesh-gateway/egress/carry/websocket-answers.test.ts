/** A switch to WebSocket is judged as a client judges it (RFC 6455, section 4.1) before bytes flow unjudged in both directions. */
import assert from 'node:assert/strict'
import { rawClient } from '../fixture.ts'
import { basic, get, setUp } from '../setup.ts'

// the example of RFC 6455, section 1.3
const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
const ASKED = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n`
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n'
const GOOD = `${SWITCH}Connection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n`

describe('an answer that switches to WebSocket', () => {
  const setup = setUp()
  afterEach(setup.close)

  async function ask(answer: string, asked = ASKED) {
    let heard = ''
    const upstream = await setup.upstream((socket) => {
      socket.on('end', () => socket.end())
      socket.on('data', (data: Buffer) => {
        if (heard === '') socket.write(`${answer}\r\nfirst`)
        heard += data.toString('latin1')
      })
    })
    const egress = await setup.egress(upstream.port)
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const client = await rawClient(egress.number)
    client.send(get(upstream.port, auth + asked))
    client.send('raw bytes')
    const text = await client.until((got) => got.endsWith('first') || got.includes('"code"'))
    client.socket.destroy()
    const record = await egress.record(0)
    return { text, record, heard: () => heard }
  }

  it('opens a pipe when it is good', async () => {
    const { text, record } = await ask(GOOD)
    assert.match(text, /^HTTP\/1\.1 101 [\s\S]*first$/)
    assert.equal(record.status, 101)
  })

  it('may choose one of the subprotocols and extensions that were asked for', async () => {
    const asked = `${ASKED}Sec-WebSocket-Protocol: mcp, chat\r\nSec-WebSocket-Protocol: v2\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n`
    for (const answer of [
      `${GOOD}Sec-WebSocket-Protocol: chat\r\n`,
      `${GOOD}Sec-WebSocket-Protocol: v2\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n`,
    ])
      assert.match((await ask(answer, asked)).text, /^HTTP\/1\.1 101 /)
  })

  const other = 'Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n'
  const offered = `${ASKED}Sec-WebSocket-Protocol: mcp, chat\r\n`
  for (const [what, answer, asked] of [
    ['no Sec-WebSocket-Accept', `${SWITCH}Connection: Upgrade\r\n`],
    ['a wrong Sec-WebSocket-Accept', `${SWITCH}Connection: Upgrade\r\n${other}`],
    ['an empty one', `${SWITCH}Connection: Upgrade\r\nSec-WebSocket-Accept:\r\n`],
    ['one in other letters', GOOD.replace(ACCEPT, ACCEPT.toLowerCase())],
    ['a good one and a wrong one', `${GOOD}${other}`],
    ['Connection: close', GOOD.replace('Connection: Upgrade', 'Connection: close')],
    [
      'Connection: Upgrade, close',
      GOOD.replace('Connection: Upgrade', 'Connection: Upgrade, close'),
    ],
    ['no Connection', GOOD.replace('Connection: Upgrade\r\n', '')],
    ['no Upgrade', GOOD.replace('Upgrade: websocket\r\n', '')],
    ['two protocols to upgrade to', GOOD.replace('websocket', 'websocket, h2c')],
    ['two subprotocols', `${GOOD}Sec-WebSocket-Protocol: mcp, chat\r\n`, offered],
    [
      'two subprotocols in two fields',
      `${GOOD}Sec-WebSocket-Protocol: mcp\r\nSec-WebSocket-Protocol: chat\r\n`,
      offered,
    ],
    ['a subprotocol that was not asked for', `${GOOD}Sec-WebSocket-Protocol: other\r\n`, offered],
    ['a subprotocol where none was asked for', `${GOOD}Sec-WebSocket-Protocol: mcp\r\n`],
    ['an extension that was not asked for', `${GOOD}Sec-WebSocket-Extensions: x-own\r\n`],
    ['no key to answer to', GOOD, 'Connection: Upgrade\r\nUpgrade: websocket\r\n'],
    ['two keys to answer to', GOOD, `${ASKED}Sec-WebSocket-Key: ${KEY}\r\n`],
  ] as const)
    it(`with ${what} is 502, and opens no pipe`, async () => {
      const { text, record, heard } = await ask(answer, asked)
      assert.match(text, /^HTTP\/1\.1 502 [\s\S]*MESH_EGRESS_UPSTREAM/)
      assert.doesNotMatch(text, /first/)
      assert.doesNotMatch(heard(), /raw bytes/)
      assert.deepEqual([record.status, record.reason], [502, 'MESH_EGRESS_UPSTREAM'])
    })
})
