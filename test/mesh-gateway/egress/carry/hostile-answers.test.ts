/**
 * What a destination may try with its answer: splitting it, ending it where nobody expects it, saying two lengths, speaking before it is asked.
 * The client gets one whole answer, a refusal or a reset, and the next answer is the one to the next request.
 */
import assert from 'node:assert/strict'
import { rawClient, sendRaw } from '../fixture.ts'
import { basic, get, setUp } from '../setup.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const POISON = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'

describe('an answer', () => {
  const setup = setUp()
  afterEach(setup.close)

  /** Two requests on one connection: the first is answered by `bytes`, what comes on another connection by OK. */
  async function twoRequests(bytes: string, method = 'GET') {
    let connections = 0
    const upstream = await setup.upstream((socket) => {
      connections += 1
      const answers = connections === 1 ? [bytes, POISON] : [OK]
      socket.on('data', () => socket.write(answers.shift() ?? OK, 'latin1'))
      socket.on('end', () => socket.end())
    })
    const egress = await setup.egress(upstream.port)
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const client = await rawClient(egress.number)
    client.send(get(upstream.port, auth, '/1', method))
    client.send(get(upstream.port, `${auth}Connection: close\r\n`, '/2'))
    const text = await client.rest()
    client.socket.destroy()
    return { text, egress, connections: () => connections }
  }

  for (const [what, bytes] of [
    ['two CLs', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\nok'],
    ['two equal CLs', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok'],
    ['CL and TE', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok'],
    ['TE and CL', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nok'],
    ['a CL that is a list', 'HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok'],
    ['CL: +2', 'HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok'],
    ['CL: -2', 'HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok'],
    ['CL: 0x2', 'HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok'],
    ['an empty CL', 'HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok'],
    ['TE: gzip, chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['TE: identity', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok'],
    ['TE: \\x0bchunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n'],
    ['TE : chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n'],
    ['TE\\t: chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n'],
    ['CL : 2', 'HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok'],
    [
      'CL and TE :',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding : chunked\r\n\r\nok',
    ],
    ['Connection : close', 'HTTP/1.1 200 OK\r\nConnection : close\r\nContent-Length: 2\r\n\r\nok'],
    ['a blank before a name', 'HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 0\r\n\r\n'],
    ['a blank within a name', 'HTTP/1.1 200 OK\r\nX Y : a\r\nContent-Length: 0\r\n\r\n'],
    ['a name of blanks', 'HTTP/1.1 200 OK\r\nX: y\r\n  : a\r\nContent-Length: 0\r\n\r\n'],
    ['a vertical tab before the colon', 'HTTP/1.1 200 OK\r\nX\x0b: a\r\nContent-Length: 0\r\n\r\n'],
    [
      'a no-break space before the colon',
      'HTTP/1.1 200 OK\r\nX\xa0 : a\r\nContent-Length: 0\r\n\r\n',
    ],
    ['a folded field', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n'],
    [
      'a bare LF between fields',
      'HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n',
    ],
    ['LFs for ends of lines', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok'],
    ['a bare CR in a value', 'HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n'],
    ['a NUL in a value', 'HTTP/1.1 200 OK\r\nX: a\0\r\nContent-Length: 0\r\n\r\n'],
    ['a bare LF in its reason', 'HTTP/1.1 200 OK\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n'],
    ['a bare CR in its reason', 'HTTP/1.1 200 a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n'],
    ['a NUL in its reason', 'HTTP/1.1 200 a\0b\r\nContent-Length: 0\r\n\r\n'],
    ['an escape of a terminal in its reason', 'HTTP/1.1 200 \x1b[31m\r\nContent-Length: 0\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n'],
    ['status 000', 'HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n'],
    ['status 099', 'HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n'],
    ['a status that is a word', 'HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n'],
    ['HTTP/2.0', 'HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['no version', '200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['a space before the version', ' HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['an empty line first', '\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['a field without a colon', 'HTTP/1.1 200 OK\r\nX\r\nContent-Length: 0\r\n\r\n'],
    [
      'Connection: content-length',
      'HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 2\r\n\r\nok',
    ],
    [
      'Connection: transfer-encoding',
      'HTTP/1.1 200 OK\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    ],
    ['a switch to h2c', 'HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n'],
    ['21 interim answers', `${'HTTP/1.1 103 Early\r\nX: y\r\n\r\n'.repeat(21)}${OK}`],
    [
      'an interim answer with two CLs',
      `HTTP/1.1 103 Early\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n${OK}`,
    ],
    ['407', 'HTTP/1.1 407 Give it\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n'],
  ] as const)
    it(`with ${what} is 502, of which nothing but the code goes on`, async () => {
      const { text, egress } = await twoRequests(bytes)
      const answers = [...text.matchAll(/HTTP\/1\.1 (\d\d\d) /g)].map(([, status]) => status)
      // interim answers may have gone on before it turned out
      assert.deepEqual(
        answers.filter((status) => status !== '103'),
        ['502'],
        text,
      )
      assert.match(text, /\r\nconnection: close\r\n/)
      assert.doesNotMatch(text, /poison|set-cookie/i)
      assert.deepEqual(
        egress.records.map((record) => [record.status, record.reason]),
        [[502, 'MESH_EGRESS_UPSTREAM']],
      )
    })

  for (const [what, bytes, method, status] of [
    ['204 with a body', `HTTP/1.1 204 No Content\r\n\r\n${POISON}`, 'GET', '204'],
    [
      '204 with a CL',
      `HTTP/1.1 204 No Content\r\nContent-Length: 70\r\n\r\n${POISON}`,
      'GET',
      '204',
    ],
    [
      '204 with TE',
      `HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n`,
      'GET',
      '204',
    ],
    [
      '304 with a body',
      `HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoison`,
      'GET',
      '304',
    ],
    ['HEAD with a body', `HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`, 'HEAD', '200'],
    [
      'HEAD with chunks',
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n`,
      'HEAD',
      '200',
    ],
    ['more than its CL', `HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n${POISON}`, 'GET', '200'],
    [
      'a second answer behind its chunks',
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${POISON}`,
      'GET',
      '200',
    ],
    [
      'a trailer that says CL',
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\nSet-Cookie: a\r\n\r\n${POISON}`,
      'GET',
      '200',
    ],
  ] as const)
    it(`${what}: what is too much goes to nobody, and that connection is not used again`, async () => {
      const { text, connections } = await twoRequests(bytes, method)
      const answers = [...text.matchAll(/HTTP\/1\.1 (\d\d\d) /g)].map(([, found]) => found)
      assert.deepEqual(answers, [status, '200'], text)
      assert.doesNotMatch(text, /poison|set-cookie/i)
      assert.ok(text.endsWith('\r\n\r\nok'), text)
      assert.equal(connections(), 2)
    })

  for (const status of [600, 700, 999])
    it(`with status ${status} goes on, and the connection is used again`, async () => {
      const { text, egress, connections } = await twoRequests(
        `HTTP/1.1 ${status} Request denied\r\nContent-Length: 2\r\n\r\nno`,
      )
      assert.match(
        text,
        new RegExp(`^HTTP/1\\.1 ${status} Request denied\\r\\n[\\s\\S]*\\r\\n\\r\\nno`),
      )
      assert.deepEqual(
        egress.records.map((record) => [record.status, record.reason]),
        [
          [status, null],
          [200, null],
        ],
      )
      assert.equal(connections(), 1)
    })

  it('with blanks before a colon goes on without them', async () => {
    const { text } = await twoRequests(
      'HTTP/1.1 103 Early\r\nLink : <a>\r\n\r\nHTTP/1.1 200 OK\r\nX-Odd : 1\r\nX-Tab\t : 2\r\nSet-Cookie : a=b\r\nX-Request-Id : theirs\r\nX-Mesh-Refusal : x\r\nContent-Length: 2\r\n\r\nok',
    )
    assert.match(text, /^HTTP\/1\.1 103 Early\r\nLink: <a>\r\n\r\n/)
    assert.match(
      text,
      /\r\nX-Odd: 1\r\nX-Tab: 2\r\nSet-Cookie: a=b\r\nx-upstream-request-id: theirs\r\n/,
    )
    assert.doesNotMatch(text, /x-mesh-refusal/i)
  })

  it('with blanks before a colon of a trailer goes on without them, unless it frames', async () => {
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n'
    const { text } = await twoRequests(
      `${chunked}X-Odd : 1\r\nX-Tab\t : 2\r\nX-Mesh-Refusal : x\r\n\r\n`,
    )
    assert.match(text, /\r\n0\r\nX-Odd: 1\r\nX-Tab: 2\r\n\r\n/)
    const framed = await twoRequests(`${chunked}Content-Length : 5\r\n\r\n`)
    assert.doesNotMatch(framed.text, /\r\n0\r\n/)
  })

  it('of 1xx with a length or chunks is passed on without them', async () => {
    const { text } = await twoRequests(
      `HTTP/1.1 103 Early\r\nContent-Length: 5\r\nLink: <a>\r\n\r\nHTTP/1.1 102 Processing\r\nTransfer-Encoding: chunked\r\n\r\n${OK}`,
    )
    const [early = '', processing = ''] = text.split('\r\n\r\n')
    assert.match(early, /^HTTP\/1\.1 103 Early\r\nLink: <a>$/)
    assert.match(processing, /^HTTP\/1\.1 102 Processing$/)
  })

  for (const [what, bytes] of [
    [
      'the chunks are malformed',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n',
    ],
    [
      'a chunk has a bare LF',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\n0\r\n\r\n',
    ],
    ['a chunk has no end', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok'],
    ['it stalls before its CL', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok'],
    [
      'its trailers have no end',
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${'X: y\r\n'.repeat(3000)}`,
    ],
  ] as const)
    it(`of which ${what} ends in a reset, never in an end that looks whole`, async () => {
      const upstream = await setup.upstream((socket) => {
        socket.once('data', () => socket.write(bytes, 'latin1'))
      })
      const egress = await setup.egress(upstream.port, {
        port: { timeouts: { idleMs: 1500, answerMs: 1500 } },
      })
      const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
      const client = await rawClient(egress.number)
      let code: unknown = null
      client.socket.on('error', (error) => {
        code = Reflect.get(error, 'code')
      })
      client.send(get(upstream.port, auth) + get(upstream.port, auth))
      const text = await client.rest()
      assert.equal(code, 'ECONNRESET')
      assert.doesNotMatch(text, /\r\n0\r\n\r\n$/)
      await egress.record(0)
      assert.equal(egress.records.length, 1)
      assert.notEqual(egress.records[0]?.reason, null)
      client.socket.destroy()
    })

  it('to HTTP/1.0 comes without interim answers and without chunks, and ends with the connection', async () => {
    const upstream = await setup.upstream((socket) => {
      socket.once('data', () =>
        socket.write(
          'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n',
        ),
      )
    })
    const egress = await setup.egress(upstream.port)
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const head = get(upstream.port, `${auth}Connection: keep-alive\r\n`)
    const answer = await sendRaw(egress.number, head.replace(' HTTP/1.1', ' HTTP/1.0'))
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n(?:[^\r]+\r\n)+\r\nhello$/)
    assert.doesNotMatch(answer, /transfer-encoding|content-length/i)
    assert.match(answer, /\r\nconnection: close\r\n/)
  })

  it('cannot speak in the name of the mesh, nor leave hop-by-hop fields behind', async () => {
    const { text } = await twoRequests(
      'HTTP/1.1 200 OK\r\nX-Mesh-Refusal: MESH_POLICY_DENIED\r\nProxy-Authenticate: Basic\r\nProxy-Authentication-Info: a\r\nKeep-Alive: timeout=9\r\nUpgrade: h2c\r\nConnection: x-named\r\nX-Named: a\r\nTrailer: X\r\nContent-Length: 2\r\n\r\nok',
    )
    const [head = ''] = text.split('\r\n\r\n')
    const names = head
      .split('\r\n')
      .slice(1)
      .map((line) => line.slice(0, line.indexOf(':')).toLowerCase())
    assert.deepEqual(names.sort(), ['connection', 'content-length', 'keep-alive', 'x-request-id'])
    // its own, of its connection to the gateway, is none of the client's business
    assert.match(head, /^keep-alive: timeout=60$/m)
  })

  it('that never ends its header, from many destinations at once, is let go within bounds', async () => {
    const upstream = await setup.upstream((socket) => {
      socket.on('data', () => {})
      socket.write('HTTP/1.1 200 OK\r\n')
      const piece = `X: ${'y'.repeat(8000)}\r\n`
      const on = () => {
        while (!socket.destroyed && socket.write(piece));
        socket.once('drain', on)
      }
      on()
    })
    const egress = await setup.egress(upstream.port)
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const head = get(upstream.port, `${auth}Connection: close\r\n`)
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => sendRaw(egress.number, head)),
    )
    for (const answer of answers)
      assert.match(answer, /^HTTP\/1\.1 502 [\s\S]*MESH_EGRESS_UPSTREAM/)
    assert.equal(egress.records.length, 100)
  })
})
