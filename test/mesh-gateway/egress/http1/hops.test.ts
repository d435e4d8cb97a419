/** What a proxy owes to those before and behind it: Via, Max-Forwards, the id of the request, and no loop. */
import assert from 'node:assert/strict'
import { type RawClient, rawClient, sendRaw } from '../fixture.ts'
import { basic, connectTo, get, setUp } from '../setup.ts'

const CLOSE = 'Connection: close\r\n'

describe('a request that has passed other proxies', () => {
  const setup = setUp()
  afterEach(setup.close)

  async function open(answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok') {
    const heads: string[] = []
    const upstream = await setup.upstream((socket) => {
      socket.on('data', (data: Buffer) => {
        heads.push(data.toString('latin1'))
        socket.write(answer)
      })
    })
    const egress = await setup.egress(upstream.port)
    const token = await egress.token({ destinations: [`api.test:${upstream.port}`] })
    const auth = basic(token)
    const { port } = upstream
    const ask = (headers: string, method = 'GET') =>
      sendRaw(egress.number, get(port, auth + CLOSE + headers, '/x?q', method))
    return { egress, port, heads, token, auth, ask }
  }

  it('keeps their Via fields in order, and ours comes last', async () => {
    const { ask, heads } = await open()
    await ask('Via: 1.0 a, 1.1 b (x, y)\r\nX: y\r\nVia: HTTP/1.1 c:8080\r\nVia: 1.1 d\r\n')
    const vias = heads[0]?.match(/^via: .*$/gim)
    assert.deepEqual(vias, ['via: 1.0 a, 1.1 b (x, y), HTTP/1.1 c:8080, 1.1 d, 1.1 clawmesh'])
  })

  for (const via of [
    '1.1 clawmesh',
    '1.0 ClawMesh',
    'HTTP/1.1 clawmesh (gateway)',
    '1.1 a, 1.1 clawmesh, 1.1 b',
    '1.1 a (x, y), 1.1 clawmesh:8080',
    '1.1 a\r\nVia: 1.1 clawmesh',
  ])
    it(`is a loop with ${JSON.stringify(`Via: ${via}`)}: 508, before anything else is looked at`, async () => {
      const { ask, egress, port, heads, auth } = await open()
      assert.match(await ask(`Via: ${via}\r\n`), /^HTTP\/1\.1 508 [\s\S]*MESH_EGRESS_LOOP/)
      const tunnel = await sendRaw(egress.number, connectTo(port, `${auth}Via: ${via}\r\n`))
      assert.match(tunnel, /^HTTP\/1\.1 508 MESH_EGRESS_LOOP/)
      const stranger = await sendRaw(egress.number, get(port, `${CLOSE}Via: ${via}\r\n`))
      assert.match(stranger, /^HTTP\/1\.1 508 /)
      assert.deepEqual([heads, egress.asked], [[], []])
      const record = await egress.record(0)
      assert.deepEqual(
        [record.status, record.reason, record.action_allowed, record.destination_host],
        [508, 'MESH_EGRESS_LOOP', false, 'api.test'],
      )
    })

  for (const via of [
    '1.1 clawmesh2',
    '1.1 proxy (clawmesh)',
    '1.1 a (1.1 clawmesh, x)',
    'clawmesh',
  ])
    it(`is no loop with Via: ${via}`, async () => {
      const { ask } = await open()
      assert.match(await ask(`Via: ${via}\r\n`), /^HTTP\/1\.1 200 /)
    })

  it('has one id in the answer, ours; that of the destination has a name of its own', async () => {
    const { ask, heads } = await open(
      'HTTP/1.1 103 Early\r\nX-Request-Id: early\r\n\r\nHTTP/1.1 200 OK\r\nX-Request-ID: req_1\r\nx-request-id: req_2\r\nContent-Length: 2\r\n\r\nok',
    )
    const answer = await ask('X-Request-Id: mine\r\n')
    assert.deepEqual(answer.match(/^x-request-id: .*$/gim), ['x-request-id: mine'])
    assert.deepEqual(answer.match(/^x-upstream-request-id: .*$/gim), [
      'x-upstream-request-id: early',
      'x-upstream-request-id: req_1',
      'x-upstream-request-id: req_2',
    ])
    assert.match(heads[0] ?? '', /^x-request-id: mine\r$/m)
  })

  const got = (client: RawClient) => client.until((text) => /\r\n\r\n[\s\S]+$/.test(text))

  it('of TRACE with Max-Forwards: 0 is answered here, with what came and without its secrets', async () => {
    const { egress, port, heads, auth } = await open()
    const client = await rawClient(egress.number)
    client.send(
      get(
        port,
        `${auth}Authorization: Bearer sk-1\r\nCookie: a=b\r\nMax-Forwards: 0\r\nX-Seen: \xe9\r\nVia: 1.1 a\r\n`,
        '/x?q',
        'TRACE',
      ),
    )
    const text = await got(client)
    const [head = '', ...body] = text.split('\r\n\r\n')
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n/)
    assert.match(head, /\r\ncontent-type: message\/http\r\n/)
    assert.equal(
      body.join('\r\n\r\n'),
      `TRACE http://api.test:${port}/x?q HTTP/1.1\r\nHost: api.test:${port}\r\nMax-Forwards: 0\r\nX-Seen: \xe9\r\nVia: 1.1 a\r\n\r\n`,
    )
    assert.match(head, new RegExp(`\\r\\ncontent-length: ${body.join('\r\n\r\n').length}\\r\\n`))
    client.send(get(port, auth))
    await client.until((all) => all.endsWith('ok'))
    client.socket.destroy()
    assert.equal(heads.length, 1)
    const record = await egress.record(0)
    assert.deepEqual(
      [record.method, record.status, record.reason, record.action_allowed, record.destination_ip],
      ['TRACE', 200, null, true, null],
    )
  })

  it('of OPTIONS with Max-Forwards: 0 is answered here', async () => {
    const { ask, heads, egress } = await open()
    assert.match(
      await ask('Max-Forwards: 0\r\n', 'OPTIONS'),
      /^HTTP\/1\.1 200 OK\r\n[\s\S]*content-length: 0\r\n/,
    )
    assert.deepEqual([heads, egress.asked], [[], []])
  })

  it('is answered here for those only who may reach the destination', async () => {
    const { egress, port } = await open()
    const other = basic(await egress.token({ destinations: ['other.test'] }))
    for (const [auth, status] of [
      ['', 407],
      [other, 403],
    ] as const)
      assert.match(
        await sendRaw(egress.number, get(port, `${auth + CLOSE}Max-Forwards: 0\r\n`, '/', 'TRACE')),
        new RegExp(`^HTTP/1\\.1 ${status} `),
      )
  })

  it('of TRACE and OPTIONS goes one hop less far, and of other methods as far as it says', async () => {
    const { ask, heads } = await open()
    for (const method of ['TRACE', 'OPTIONS', 'GET']) await ask('Max-Forwards: 7\r\n', method)
    await ask('Max-Forwards: 0\r\n', 'GET')
    assert.deepEqual(
      heads.map((head) => /^max-forwards: (.*)\r$/im.exec(head)?.[1]),
      ['6', '6', '7', '0'],
    )
  })

  for (const [what, authorization] of [
    ['Bearer', (token: string) => `Bearer ${token}`],
    ['Basic, as its password', (token: string) => `Basic ${base64(`bot-01:${token}`)}`],
    ['Basic, as its user', (token: string) => `Basic ${base64(`${token}:`)}`],
    ['Basic, without a colon', (token: string) => `Basic ${base64(token)}`],
    ['Token', (token: string) => `Token ${token}`],
    ['a scheme with parameters', (token: string) => `Custom token="${token}", realm=x`],
    ['no scheme at all', (token: string) => token],
  ] as const)
    it(`does not carry a token of the gateway to the destination, in Authorization of ${what}`, async () => {
      const { ask, heads, token } = await open()
      assert.match(await ask(`Authorization: ${authorization(token)}\r\n`), /^HTTP\/1\.1 200 /)
      assert.doesNotMatch(heads[0] ?? '', /^authorization/im)
    })

  it('carries every other Authorization as it is', async () => {
    const { ask, heads } = await open()
    const values = [
      `Basic ${base64('user:password')}`,
      `Basic ${base64('user:a.b.c')}`,
      'Bearer sk-1',
      'Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL290aGVyLnRlc3QifQ.x',
      'AWS4-HMAC-SHA256 Credential=AKID/20260101/eu/s3/aws4_request, SignedHeaders=host, Signature=00',
    ]
    for (const value of values) await ask(`Authorization: ${value}\r\n`)
    assert.deepEqual(
      heads.map((head) => /^authorization: (.*)\r$/im.exec(head)?.[1]),
      values,
    )
  })
})

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
