/** A tunnel without TLS: requests inside are for the host that the tunnel was opened to, and for no other. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import fc from 'fast-check'
import { ClearText } from '../../../../mesh-gateway/src/egress/carry/clear-text.ts'
import { parseConnectTarget } from '../../../../mesh-gateway/src/egress/request.ts'
import { closeServer, listenOnFreePort } from '../../../support/http-origin.ts'
import { rawClient, refusalOf } from '../fixture.ts'
import { basic, connectTo, setUp } from '../setup.ts'

const GOOD = 'GET /good HTTP/1.1\r\nHost: api.test\r\n\r\n'
const EVIL = 'GET /evil HTTP/1.1\r\nHost: evil.test\r\n\r\n'
const UPGRADE =
  'GET /good HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

/** What a client sends inside, and how much of it may go on; all that would be delivered holds `evil`. */
const FRONTING: readonly (readonly [name: string, sent: string, before?: string])[] = [
  ['at once', EVIL],
  [
    'by a request line in absolute form',
    'GET http://evil.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n',
  ],
  ['by CONNECT within CONNECT', 'CONNECT evil.test:443 HTTP/1.1\r\nHost: api.test\r\n\r\n'],
  ['at another port', 'GET / HTTP/1.1\r\nHost: api.test:1\r\nX: evil\r\n\r\n'],
  ['in lower case', 'get / http/1.1\r\nhost: evil.test\r\n\r\n'],
  ['with a method that nobody knows', '0x! / HTTP/1.1\r\nHost: evil.test\r\n\r\n'],
  ['in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: evil.test\r\n\r\n'],
  ['in HTTP/0.9', 'GET http://evil.test/\r\n\r\n'],
  ['after an empty line', `\r\n${EVIL}`],
  ['after blanks', ` \t${EVIL}`],
  ['with bare line feeds', 'GET / HTTP/1.1\nHost: evil.test\n\n'],
  ['with bare carriage returns', 'GET / HTTP/1.1\rHost: evil.test\r\r'],
  ['with other blanks between the words', 'GET\v/\fHTTP/1.1\r\nHost: evil.test\r\n\r\n'],
  // what Python takes for a blank, and what it takes for a part of the path
  ['after a separator', `\x1c${EVIL}`],
  ['after a next line', `\x85${EVIL}`],
  ['after a blank that is not broken', `\xa0${EVIL}`],
  ['with separators between the words', 'GET\x1f/\r\nHost: evil.test\r\n\r\n'],
  ['with a NUL in the path', 'GET /\0 HTTP/1.1\r\nHost: evil.test\r\n\r\n'],
  ['with a NUL for a path', 'GET \0 HTTP/1.1\r\nHost: evil.test\r\n\r\n'],
  ['with two Host headers', 'GET / HTTP/1.1\r\nHost: api.test\r\nHost: evil.test\r\n\r\n'],
  ['with a folded header', 'GET / HTTP/1.1\r\nHost: api.test\r\n evil.test\r\n\r\n'],
  ['in the second request', GOOD + EVIL, GOOD],
  [
    'after a body of a length',
    `POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\n\r\nbody${EVIL}`,
    'body',
  ],
  [
    'after a body in chunks',
    `POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n${EVIL}`,
    '0\r\n\r\n',
  ],
  [
    'between two lengths',
    `POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${EVIL}`,
  ],
  ['after an upgrade that nobody took', UPGRADE + EVIL, UPGRADE],
]

describe('a tunnel without TLS', () => {
  const setup = setUp()
  afterEach(setup.close)

  /** A tunnel to a destination that keeps what it gets, and answers each read. */
  async function open(global: object = {}, answer = '') {
    let got = ''
    const upstream = await setup.upstream((socket: Socket) => {
      socket.on('data', (data: Buffer) => {
        got += data.toString('latin1')
        socket.write(answer)
      })
      socket.on('end', () => socket.end())
    })
    const { port } = upstream
    const egress = await setup.egress(port)
    egress.setPolicy({ allow: [`api.test:${port}`] }, { ports: [port], ...global })
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const client = await rawClient(egress.number)
    client.send(connectTo(port, auth))
    const head = await client.until((text) => text.includes('\r\n\r\n'))
    return {
      ...{ egress, client, port },
      got: () => got,
      /** What came after the tunnel was open, until the gateway closed. */
      rest: async () => (await client.rest()).slice(head.length),
      /** Resolves once the destination has got that. */
      async arrives(text: string) {
        while (!got.includes(text)) {
          const [socket] = upstream.connections
          assert.ok(socket)
          await once(socket, 'data')
        }
      },
    }
  }

  for (const [name, sent, before = ''] of FRONTING)
    it(`reaches no other host: ${name}`, async () => {
      const { egress, client, got } = await open()
      client.send(Buffer.from(sent, 'latin1'))
      await client.rest()
      client.socket.destroy()
      const record = await egress.record(0)
      assert.ok(
        ['MESH_EGRESS_HOST_MISMATCH', 'MESH_EGRESS_MALFORMED'].includes(String(record.reason)),
        String(record.reason),
      )
      assert.equal(record.action_allowed, false)
      assert.equal(record.status, 200)
      assert.ok(!/evil\.test\r|X: evil/.test(got()), got())
      assert.ok(sent.startsWith(got()) || got() === '', 'what went on is what was sent')
      assert.ok(got().length <= sent.indexOf(before) + Math.max(before.length, 40))
    })

  it('says in the answer why, when no other answer has begun', async () => {
    const { client, rest, port } = await open()
    client.send(`GET / HTTP/1.1\r\nHost: evil.test:${port}\r\n\r\n`)
    const answer = await rest()
    client.socket.destroy()
    assert.match(answer, /^HTTP\/1\.1 403 Forbidden\r\n/)
    assert.equal(refusalOf(answer).code, 'MESH_EGRESS_HOST_MISMATCH')
  })

  it('is reset when an answer has begun', async () => {
    const { egress, client } = await open({}, 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    client.send(GOOD)
    await client.until((text) => text.includes('200 OK'))
    const reset = once(client.socket, 'error')
    client.send(EVIL)
    assert.equal(Reflect.get(Object((await reset)[0]), 'code'), 'ECONNRESET')
    assert.equal((await egress.record(0)).reason, 'MESH_EGRESS_HOST_MISMATCH')
  })

  it('passes requests for its host on unchanged, byte for byte, however they are cut', async () => {
    const whole = [
      '\r\n',
      GOOD,
      'geT  http://API.test./x HTTP/1.1\r\n'.replace('  ', ' '),
      'hOST:\tapi.TEST.\r\nContent-length: 5\r\n\r\nGET /',
      `POST http://api.test:PORT/y HTTP/1.1\r\nHost: api.test:PORT\r\nTransfer-Encoding: chunked\r\n\r\n`,
      `${EVIL.length.toString(16)};x=y\r\n${EVIL}\r\n0\r\nA: b\r\n\r\n`,
      'OPTIONS * HTTP/1.0\r\n\r\n',
      GOOD,
    ].join('')
    const { client, got, arrives, port } = await open()
    // without a port the one of the tunnel is meant, but an absolute URL says which
    const sent = whole
      .replaceAll('PORT', String(port))
      .replace('API.test./x', `API.test.:${port}/x`)
    for (let at = 0; at < sent.length; at += 7) client.send(sent.slice(at, at + 7))
    client.socket.end()
    await arrives('OPTIONS * HTTP/1.0')
    await client.rest()
    assert.equal(got(), sent)
  })

  it('carries a WebSocket once it was asked for', async () => {
    const { client, got, arrives } = await open({}, 'HTTP/1.1 101 Switching Protocols\r\n\r\n')
    client.send(UPGRADE)
    await client.until((text) => text.includes('101 Switching'))
    const frame = Buffer.concat([Buffer.from([0x81, 0x85, 1, 2, 3, 4]), Buffer.from('\0\r\n\0!')])
    for (const byte of frame) client.send(Buffer.of(byte))
    client.send(EVIL)
    await arrives('/evil')
    assert.equal(got(), UPGRADE + frame.toString('latin1') + EVIL)
    client.socket.destroy()
  })

  for (const [name, sent] of [
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    [
      'an upgrade to it',
      GOOD.replace('\r\n\r\n', '\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n'),
    ],
    ['HTTP/2 after a request', `${GOOD}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`],
  ] as const)
    it(`carries no ${name}, unless policy says so`, async () => {
      const { egress, client, got } = await open()
      client.send(sent)
      await client.rest()
      client.socket.destroy()
      assert.equal((await egress.record(0)).reason, 'MESH_EGRESS_CLEARTEXT')
      assert.ok(!got().includes('SM\r\n') && !got().includes('h2c'))
      const free = await open({ tls: { clearText: 'any' } })
      free.client.send(sent)
      await free.arrives(sent)
      free.client.socket.destroy()
    })

  it('carries other protocols as policy says, and nothing but TLS on ports for it', async () => {
    const ssh = 'SSH-2.0-client\r\n'
    const binary = '\x10\x0d\0\x04MQTT\x04\x02'
    const git = '0032git-upload-pack /project.git\0host=evil.test\0'
    for (const sent of [ssh, binary, git]) {
      const other = await open()
      other.client.send(sent + EVIL)
      await other.arrives(EVIL)
      other.client.socket.destroy()
    }
    const reasons: unknown[] = []
    for (const [tls, sent] of [
      [{ clearText: 'http' }, ssh],
      [{ clearText: 'http' }, binary],
      [{ clearText: 'refuse' }, GOOD],
    ] as const) {
      const { egress, client, got } = await open({ tls })
      client.send(sent)
      await client.rest()
      client.socket.destroy()
      reasons.push((await egress.record(0)).reason)
      assert.equal(got(), '')
    }
    const { egress, client, got, port } = await open()
    egress.setPolicy(
      { allow: [`api.test:${port}`] },
      { ports: [port], tls: { ports: [port], clearText: 'any' } },
    )
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const strict = await rawClient(egress.number)
    strict.send(connectTo(port, auth) + GOOD)
    await strict.rest()
    for (const { socket } of [client, strict]) socket.destroy()
    reasons.push((await egress.record(0)).reason)
    assert.equal(got(), '')
    assert.deepEqual(reasons, [
      'MESH_EGRESS_CLEARTEXT',
      'MESH_EGRESS_CLEARTEXT',
      'MESH_EGRESS_NOT_TLS',
      'MESH_EGRESS_NOT_TLS',
    ])
  })

  it('reaches the host alone where policy lets HTTP pass, with the usual clients', async () => {
    const { client, arrives } = await open({ tls: { clearText: 'http' } })
    for (const byte of GOOD) client.send(byte)
    await arrives('Host: api.test')
    client.socket.destroy()
  })

  it('ends when the head of a request does not come to its end', async () => {
    const upstream = await setup.upstream((socket) => socket.resume())
    const egress = await setup.egress(upstream.port, { port: { timeouts: { helloMs: 50 } } })
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    for (const [sent, reason] of [
      ['GET / HTTP/1.1\r\nHost:', 'MESH_EGRESS_SLOW'],
      [`GET / HTTP/1.1\r\nX: ${'x'.repeat(17_000)}`, 'MESH_EGRESS_MALFORMED'],
      [`GET /${'x'.repeat(17_000)}`, 'MESH_EGRESS_MALFORMED'],
    ] as const) {
      const index = egress.records.length
      const client = await rawClient(egress.number)
      client.send(connectTo(upstream.port, auth) + sent)
      await client.rest()
      client.socket.destroy()
      assert.equal((await egress.record(index)).reason, reason)
    }
  })

  it('shows a lenient server no host but its own, whatever is sent', async () => {
    const seen: (string | undefined)[] = []
    const server = createServer({ insecureHTTPParser: true }, ({ headers, socket }, response) => {
      seen.push(headers.host)
      response.end(String(socket.remotePort))
    })
    server.on('upgrade', (_, socket) => socket.destroy())
    const port = await listenOnFreePort(server)
    setup.closing.push(() => closeServer(server))
    const egress = await setup.egress(port)
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    for (const [, sent] of FRONTING) {
      const client = await rawClient(egress.number)
      client.send(connectTo(port, auth) + sent)
      client.socket.end()
      await client.rest()
      client.socket.destroy()
    }
    assert.ok(seen.length > 0)
    assert.deepEqual(
      seen.filter((host) => host !== 'api.test'),
      [],
    )
  })
})

describe('what judges a tunnel without TLS', () => {
  const target = parseConnectTarget('api.test:80')
  assert.ok(typeof target === 'object')
  const piece = fc.oneof(
    fc.constantFrom(GOOD, EVIL, UPGRADE, '\r\n', 'x', '0\r\n\r\n', 'Host: evil.test\r\n', 'GET '),
    fc.string({ maxLength: 8 }),
  )

  it('passes on what was sent, unchanged and in order, and says the same however it is cut', () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 8 }),
        cuts,
        fc.boolean(),
        (pieces, sizes, others) => {
          const sent = Buffer.from(pieces.join(''), 'latin1')
          const run = (lengths: readonly number[]) => {
            const judge = new ClearText(target, others)
            let passed = ''
            let code: string | null = null
            for (let at = 0, n = 0; at < sent.length && code === null; n += 1) {
              const length = lengths[n % lengths.length] ?? 1
              code = judge.push(sent.subarray(at, at + length), (bytes) => {
                passed += bytes.toString('latin1')
              })
              at += length
            }
            assert.ok(sent.toString('latin1').startsWith(passed))
            return { code, passed, opaque: judge.opaque }
          }
          const whole = run([sent.length])
          const cut = run(sizes)
          assert.equal(cut.code, whole.code)
          assert.equal(cut.opaque, whole.opaque)
          if (whole.code === null) assert.equal(cut.passed, whole.passed)
          if (!cut.opaque) assert.ok(!cut.passed.includes(EVIL))
        },
      ),
      { numRuns: 2000 },
    )
  })
})
