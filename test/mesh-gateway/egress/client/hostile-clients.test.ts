/** What a compromised agent, a hostile destination, or ten thousand of them would try. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import fc from 'fast-check'
import { waitFor } from '../../../support/wait-for.ts'
import { rawClient, refusalOf, sendRaw } from '../fixture.ts'
import { basic, connectTo, get, setUp } from '../setup.ts'

const CLOSE = 'Connection: close\r\n'

describe('a hostile client', () => {
  const setup = setUp()
  afterEach(setup.close)

  /** An upstream that counts what reaches it, and an egress port before it. */
  async function open(options: Parameters<typeof setup.egress>[1] = {}) {
    const reached: string[] = []
    const upstream = await setup.upstream((socket) =>
      socket.on('data', (data: Buffer) => {
        reached.push(data.toString('latin1'))
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      }),
    )
    const egress = await setup.egress(upstream.port, options)
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    return { reached, egress, auth, port: upstream.port }
  }

  it('that asks and asks, and reads no answer, is answered no more until it reads', async () => {
    // each comes in one piece: there is none to be held back in the middle of it
    const body = 'x'.repeat(10_000)
    let answered = 0
    const { port } = await setup.http((_, response) => {
      answered += 1
      response.end(body)
    })
    const egress = await setup.egress(port)
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const client = await rawClient(egress.number)
    client.socket.pause()
    const asked = 4_000
    client.send(get(port, auth).repeat(asked))
    // as long as it takes, and for many requests of somebody else: then it has come to an end
    for (let before = -1, still = 0; still < 20; ) {
      assert.match(await sendRaw(egress.number, get(port, auth + CLOSE)), /^HTTP\/1\.1 200 /)
      const theirs = answered
      still = theirs === before + 1 ? still + 1 : 0
      before = theirs
    }
    const others = egress.records.length
    assert.ok(answered < asked, `${answered} answers wait in memory`)
    assert.ok(others < asked)
    let received = 0
    client.socket.on('data', (chunk: Buffer) => {
      received += chunk.length
    })
    client.socket.resume()
    while (received < asked * body.length) await once(client.socket, 'data')
    client.socket.destroy()
  })

  it('that asks and asks, and never reads, is closed in the end', async () => {
    const { port } = await setup.http((_, response) => response.end('x'.repeat(10_000)))
    const egress = await setup.egress(port, { port: { timeouts: { idleMs: 60, answerMs: 60 } } })
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const client = await rawClient(egress.number)
    client.socket.pause()
    const closed = new Promise((resolve) => client.socket.on('close', resolve))
    client.send(get(port, auth).repeat(4_000))
    // it sends on, and so learns of it
    const sending = setInterval(() => client.send('GET / HTTP/1.1\r\n\r\n'), 20)
    await closed
    clearInterval(sending)
  })

  for (const [what, lines] of [
    [
      'two Host headers',
      ['GET http://api.test:PORT/ HTTP/1.1', 'Host: api.test:PORT', 'Host: evil.test'],
    ],
    ['a Host other than the target', ['GET http://api.test:PORT/ HTTP/1.1', 'Host: evil.test']],
    ['a Host with another port', ['GET http://api.test:PORT/ HTTP/1.1', 'Host: api.test:1']],
    ['a malformed Host', ['GET http://api.test:PORT/ HTTP/1.1', 'Host: a@api.test']],
    [
      'CL and TE',
      [
        'POST http://api.test:PORT/ HTTP/1.1',
        'Host: api.test:PORT',
        'Content-Length: 6',
        'Transfer-Encoding: chunked',
        '',
        '0',
        '',
        'X',
      ],
    ],
    [
      'TE.TE',
      [
        'POST http://api.test:PORT/ HTTP/1.1',
        'Host: api.test:PORT',
        'Transfer-Encoding: chunked',
        'Transfer-Encoding: identity',
      ],
    ],
    [
      'a TE that hides behind white space',
      ['POST http://api.test:PORT/ HTTP/1.1', 'Host: api.test:PORT', 'Transfer-Encoding : chunked'],
    ],
    ['userinfo', ['GET http://api.test:PORT@evil.test/ HTTP/1.1', 'Host: evil.test']],
    ['CONNECT with a path', ['CONNECT api.test:PORT/x HTTP/1.1', 'Host: api.test:PORT']],
    ['CONNECT with userinfo', ['CONNECT u@api.test:PORT HTTP/1.1', 'Host: api.test:PORT']],
    [
      'CONNECT with a body',
      ['CONNECT api.test:PORT HTTP/1.1', 'Host: api.test:PORT', 'Content-Length: 5'],
    ],
    ['CONNECT without a port', ['CONNECT api.test HTTP/1.1', 'Host: api.test']],
    ['CONNECT to a zone id', ['CONNECT [fe80::1%25lo]:443 HTTP/1.1', 'Host: [fe80::1]']],
    ['the HTTP/2 preface', ['PRI * HTTP/2.0', '', 'SM']],
    [
      'a bare LF between headers',
      ['GET http://api.test:PORT/ HTTP/1.1', 'Host: api.test:PORT\nX: y'],
    ],
    ['a NUL in the target', ['GET http://api.test:PORT/\u0000 HTTP/1.1', 'Host: api.test:PORT']],
  ] as const)
    it(`gets 400 for ${what}; nothing is looked up, nothing goes on, the connection ends`, async () => {
      const { egress, auth, port, reached } = await open()
      const [first, ...rest] = lines.map((line) => line.replaceAll('PORT', String(port)))
      const answer = await sendRaw(
        egress.number,
        [first, auth.trimEnd(), ...rest, '', ''].join('\r\n'),
      )
      assert.match(answer, /^HTTP\/1\.1 400 [\s\S]*connection: close/)
      assert.match(answer, /"code":"MESH_EGRESS_MALFORMED","gate":"syntax"/)
      assert.equal(answer.match(/HTTP\/1\.1/g)?.length, 1)
      assert.deepEqual(reached, [])
      assert.deepEqual(egress.asked, [])
      assert.equal(egress.records.length, 1)
    })

  for (const [what, text] of [
    ['headers larger than 16 KiB', `X: ${'y'.repeat(17_000)}\r\n`],
    ['more than 100 headers, the credential last', 'X: y\r\n'.repeat(101)],
    ['an endless header without an end of line', 'X'.repeat(17_000)],
  ] as const)
    it(`gets 431 for ${what}, and nothing is silently left out`, async () => {
      const { egress, auth, port } = await open()
      const answer = await sendRaw(egress.number, get(port, text + auth))
      assert.match(answer, /^HTTP\/1\.1 431 [\s\S]*MESH_EGRESS_HEAD_TOO_LARGE/)
    })

  it('cannot smuggle a second request behind a body: it is read as the next one, and judged', async () => {
    const { egress, auth, port, reached } = await open()
    const first = `${get(port, `${auth}Content-Length: 5\r\n`, '/', 'POST')}12345`
    const second = 'GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n'
    const answer = await sendRaw(egress.number, first + second)
    assert.match(answer, /^HTTP\/1\.1 200 [\s\S]*HTTP\/1\.1 407 /)
    assert.equal(reached.join('').includes('evil.test'), false)
  })

  it('is cut off when it sends its header too slowly', async () => {
    const { egress, port } = await open({ port: { timeouts: { headerMs: 60 } } })
    // on a busy machine its first byte may come too late: then it is silent, and gets no answer
    const answer = await waitFor('an answer', async () => {
      const client = await rawClient(egress.number)
      client.send(`GET http://api.test:${port}/ HTTP/1.1\r\n`)
      const rest = await client.rest()
      client.socket.destroy()
      return rest !== '' && rest
    })
    assert.match(answer, /^HTTP\/1\.1 408 [\s\S]*MESH_EGRESS_SLOW/)
    const silent = await rawClient(egress.number)
    assert.equal(await silent.rest(), '')
    silent.socket.destroy()
  })

  it('is cut off when it sends its body too slowly', async () => {
    const { egress, auth, port } = await open({ port: { timeouts: { idleMs: 60, answerMs: 60 } } })
    const upstream = await setup.upstream((socket) => socket.resume())
    egress.setPolicy({ allow: [`api.test:${upstream.port}`] }, { ports: [upstream.port, port] })
    const own = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    assert.notEqual(own, auth)
    const client = await rawClient(egress.number)
    client.send(`${get(upstream.port, `${own}Content-Length: 9\r\n`, '/', 'POST')}x`)
    assert.match(await client.rest(), /^HTTP\/1\.1 408 /)
    client.socket.destroy()
  })

  it('is told when it speaks TLS to the plain port', async () => {
    const { egress } = await open()
    const answer = await sendRaw(egress.number, Buffer.from([0x16, 3, 1, 2, 0, 1]))
    assert.match(answer, /^HTTP\/1\.1 400 [\s\S]*plain HTTP/)
  })

  it('cannot put lines into the answer through what it sends', async () => {
    const { egress, auth } = await open()
    const answer = await sendRaw(
      egress.number,
      `CONNECT x.test:443 HTTP/1.1\r\nHost: x.test\r\nX-Request-Id: a\tb"c\r\n${auth}\r\n`,
    )
    const [head = ''] = answer.split('\r\n\r\n')
    assert.match(head, /\r\nx-request-id: [0-9a-f-]{36}\r\n/)
  })

  it('does not end the process when it goes away at any moment', async () => {
    const { egress, auth, port } = await open()
    const whole = `${get(port, `${auth}Content-Length: 5\r\n`, '/', 'POST')}12345`
    for (let at = 1; at < whole.length; at += 23) {
      const client = await rawClient(egress.number)
      client.socket.write(whole.slice(0, at))
      client.socket.resetAndDestroy()
      await once(client.socket, 'close')
    }
    assert.match(await sendRaw(egress.number, get(port, auth + CLOSE)), /^HTTP\/1\.1 200 /)
  })

  it('gets an orderly answer, or none, to whatever bytes it sends', async () => {
    const { egress, auth, port, reached } = await open({
      port: { timeouts: { headerMs: 20, keepAliveMs: 20 } },
    })
    const seed = get(port, `${auth}Content-Length: 5\r\n`, '/', 'POST')
    const mutation = fc.record({
      at: fc.nat(seed.length),
      drop: fc.nat(4),
      insert: fc.constantFrom(
        '\r\n',
        '\n',
        '\r',
        '\0',
        ' ',
        ':',
        ',',
        '\t',
        'chunked',
        '\r\n\r\n',
        '%',
        '@',
        '\x80',
      ),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 3 }), async (mutations) => {
        let text = seed
        for (const { at, drop, insert } of mutations)
          text = text.slice(0, at) + insert + text.slice(at + drop)
        const answer = await sendRaw(egress.number, `${text}12345`)
        assert.match(answer, /^(?:HTTP\/1\.1 (?:200|40[0378]|413|50[024]) |$)/)
      }),
      { numRuns: 60 },
    )
    assert.equal(
      reached.some((head) => /proxy-authorization/i.test(head)),
      false,
    )
  })
})

describe('a hostile destination', () => {
  const setup = setUp()
  afterEach(setup.close)

  async function answerOf(bytes: string, method = 'GET', extra = CLOSE): Promise<string> {
    const upstream = await setup.upstream((socket) => {
      socket.once('data', () => socket.end(bytes, 'latin1'))
    })
    const egress = await setup.egress(upstream.port)
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const answer = await sendRaw(egress.number, get(upstream.port, auth + extra, '/', method))
    await egress.record(0)
    assert.equal(egress.records.length, 1)
    return answer
  }

  for (const [what, bytes] of [
    ['garbage', 'hello\r\n\r\n'],
    ['an endless header', `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(70_000)}`],
    ['too many headers', `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(300)}\r\n`],
    [
      'both lengths',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok',
    ],
    ['a storm of interim answers', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(50)],
    ['a switch that nobody asked for', 'HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n'],
    [
      'a demand for proxy credentials',
      'HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n',
    ],
  ] as const)
    it(`is answered for with 502 when it sends ${what}`, async () => {
      const answer = await answerOf(bytes)
      assert.match(answer, /(?:^|\r\n\r\n)HTTP\/1\.1 502 [\s\S]*MESH_EGRESS_UPSTREAM/)
    })

  it('is answered for with 502 when it goes away without a word', async () => {
    assert.match(await answerOf(''), /^HTTP\/1\.1 502 [\s\S]*MESH_EGRESS_LOST/)
  })

  it('cannot make half an answer look whole', async () => {
    const upstream = await setup.upstream((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'))
    })
    const egress = await setup.egress(upstream.port)
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const client = await rawClient(egress.number)
    client.send(get(upstream.port, auth))
    const [error] = await once(client.socket, 'error')
    assert.equal(Reflect.get(Object(error), 'code'), 'ECONNRESET')
    assert.equal((await egress.record(0)).reason, 'MESH_EGRESS_LOST')
  })

  it('cannot answer the next request before it is asked: what is left over ends the connection', async () => {
    const upstream = await setup.upstream((socket) => {
      socket.once('data', () =>
        socket.write(
          'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil',
        ),
      )
    })
    const egress = await setup.egress(upstream.port)
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const client = await rawClient(egress.number)
    client.send(get(upstream.port, auth))
    await client.until((text) => text.endsWith('ok'))
    client.send(get(upstream.port, auth))
    const text = await client.until((all) => all.match(/HTTP\/1\.1 200/g)?.length === 2)
    assert.doesNotMatch(text, /evil/)
    client.socket.destroy()
    assert.equal(upstream.connections.length, 2)
  })

  it('is given up when it does not answer in time', async () => {
    const upstream = await setup.upstream((socket) => socket.resume())
    const egress = await setup.egress(upstream.port, {
      port: { timeouts: { idleMs: 60, answerMs: 60 } },
    })
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const answer = await sendRaw(egress.number, get(upstream.port, auth + CLOSE))
    assert.match(answer, /^HTTP\/1\.1 504 /)
    assert.equal(refusalOf(answer).code, 'MESH_EGRESS_TIMEOUT')
  })

  it('never shares a connection between agents', async () => {
    const { port, server } = await setup.http((_, response) => response.end('ok'))
    let connections = 0
    server.on('connection', () => {
      connections += 1
    })
    const egress = await setup.egress(port)
    const destinations = [`api.test:${port}`]
    for (const agent of ['bot-01', 'bot-02', 'bot-01']) {
      const auth = basic(await egress.token({ agent, destinations }), agent)
      assert.match(await sendRaw(egress.number, get(port, auth + CLOSE)), /^HTTP\/1\.1 200 /)
    }
    assert.equal(connections, 2)
  })

  it('ends in a refusal for metadata names, which are not even looked up', async () => {
    const egress = await setup.egress(80, { egress: { allow: ['metadata.google.internal'] } })
    const auth = basic(await egress.token({ destinations: ['metadata.google.internal'] }))
    const answer = await sendRaw(egress.number, connectTo(80, auth, 'metadata.google.internal'))
    assert.match(answer, /^HTTP\/1\.1 403 MESH_EGRESS_ADDRESS_REFUSED /)
    assert.deepEqual(egress.asked, [])
  })
})
