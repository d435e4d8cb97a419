/** Requests in absolute form: what goes on, what comes back, and how a refusal explains itself. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { MeshError } from '@clawmesh/proto'
import { fetch, ProxyAgent } from 'undici'
import { rawClient, refusalOf, sendRaw } from './fixture.ts'
import { basic, get, SWITCH, setUp, UPGRADE } from './setup.ts'

const CLOSE = 'Connection: close\r\n'

describe('the egress port, in absolute form', () => {
  const setup = setUp()
  afterEach(setup.close)

  it('hands on an allowed request and its answer, and writes one record', async () => {
    const seen: IncomingMessage[] = []
    const { port } = await setup.http((request, response) => {
      seen.push(request)
      response.setHeader('x-from', 'upstream')
      response.end('hello')
    })
    const egress = await setup.egress(port)
    const token = await egress.token({ destinations: [`api.test:${port}`] })
    const dispatcher = new ProxyAgent({
      uri: `http://127.0.0.1:${egress.number}`,
      token: `Bearer ${token}`,
      proxyTunnel: false,
    })
    const response = await fetch(`http://api.test:${port}/a?b=c`, { dispatcher })
    assert.equal(await response.text(), 'hello')
    assert.equal(response.headers.get('x-from'), 'upstream')
    await dispatcher.close()
    const record = await egress.record(0)
    assert.equal(egress.records.length, 1)
    assert.equal(record.status, 200)
    assert.equal(record.action_allowed, true)
    assert.equal(record.reason, null)
    assert.equal(record.path, '/a')
    assert.equal(record.destination_host, 'api.test')
    assert.equal(record.destination_ip, '127.0.0.1')
    assert.equal(record.tenant, 'acme')
    assert.equal(record.agent_id, 'bot-01')
    assert.equal(record.bytes_down, 5)
    assert.match(record.rule ?? '', /acme\.json#\/egress\/allow\/0/)
    assert.equal(seen[0]?.url, '/a?b=c')
    assert.equal(seen[0]?.headers['x-request-id'], record.request_id)
    assert.equal(seen[0]?.headers.traceparent?.toString().split('-')[1], record.trace_id)
  })

  it('strips the credential, hop-by-hop fields, what Connection nominates and x-mesh-*', async () => {
    const seen: IncomingMessage[] = []
    const { port } = await setup.http((request, response) => {
      seen.push(request)
      response.setHeader('connection', 'x-private')
      response.setHeader('x-private', 'secret')
      response.setHeader('keep-alive', 'timeout=99')
      response.end()
    })
    const egress = await setup.egress(port)
    const token = await egress.token({ destinations: [`api.test:${port}`] })
    const headers = [
      `Authorization: Bearer ${token}`,
      'Connection: close, X-Hop',
      'X-Hop: 1',
      'Proxy-Connection: keep-alive',
      'Keep-Alive: 5',
      'TE: trailers',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABk',
      'X-Mesh-Delegation: secret',
      'Via: 1.0 fred',
      'X-Kept: yes',
      'Cookie: a=b',
    ]
    const answer = await sendRaw(egress.number, get(port, `${headers.join('\r\n')}\r\n`))
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/)
    assert.doesNotMatch(answer, /x-private|keep-alive: timeout/i)
    const names = Object.keys(seen[0]?.headers ?? {}).sort()
    assert.deepEqual(names, [
      'connection',
      'cookie',
      'host',
      'traceparent',
      'via',
      'x-kept',
      'x-request-id',
    ])
    assert.equal(seen[0]?.headers.via, '1.0 fred, 1.1 clawmesh')
  })

  it('leaves an Authorization header alone that is not a token of its own', async () => {
    const seen: IncomingMessage[] = []
    const { port } = await setup.http((request, response) => {
      seen.push(request)
      response.end()
    })
    const egress = await setup.egress(port)
    const token = await egress.token({ destinations: [`api.test:${port}`] })
    await sendRaw(
      egress.number,
      get(port, `${basic(token)}Authorization: Bearer sk-of.the.destination\r\n${CLOSE}`),
    )
    assert.equal(seen[0]?.headers.authorization, 'Bearer sk-of.the.destination')
    await sendRaw(
      egress.number,
      get(port, `${basic(token)}Authorization: Bearer ${token}\r\n${CLOSE}`),
    )
    assert.equal(seen[1]?.headers.authorization, undefined)
  })

  it('answers requests one after another on one connection, pipelined ones too, over one upstream connection', async () => {
    const { port, server } = await setup.http((request, response) => response.end(request.url))
    let connections = 0
    server.on('connection', () => {
      connections += 1
    })
    const egress = await setup.egress(port)
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const client = await rawClient(egress.number)
    client.send(
      get(port, auth, '/one') + get(port, auth, '/two') + get(port, auth + CLOSE, '/three'),
    )
    const text = await client.rest()
    assert.match(text, /\/one[\s\S]*\/two[\s\S]*\/three$/)
    assert.equal(connections, 1)
    assert.equal(egress.records.length, 3)
    client.socket.destroy()
  })

  for (const framing of ['length', 'chunked'] as const)
    it(`carries 64 MiB up and down intact, framed by ${framing}`, async () => {
      const { port } = await setup.http((request, response) => {
        if (framing === 'length')
          response.setHeader('content-length', request.headers['content-length'] ?? 0)
        request.pipe(response)
      })
      const egress = await setup.egress(port)
      const token = await egress.token({ destinations: [`api.test:${port}`] })
      const piece = randomBytes(1 << 20)
      const sent = createHash('sha256')
      const request = httpRequest({
        host: '127.0.0.1',
        port: egress.number,
        method: 'POST',
        path: `http://api.test:${port}/echo`,
        headers: {
          host: `api.test:${port}`,
          'proxy-authorization': `Bearer ${token}`,
          ...(framing === 'length' ? { 'content-length': 64 << 20 } : {}),
        },
      })
      const got = createHash('sha256')
      const [answered] = await Promise.all([
        once(request, 'response').then(async ([response]: IncomingMessage[]) => {
          assert.ok(response)
          for await (const chunk of response) got.update(chunk)
          return response.statusCode
        }),
        (async () => {
          for (let index = 0; index < 64; index += 1) {
            sent.update(piece)
            if (!request.write(piece)) await once(request, 'drain')
          }
          request.end()
        })(),
      ])
      assert.equal(answered, 200)
      assert.equal(got.digest('hex'), sent.digest('hex'))
      const record = await egress.record(0)
      assert.equal(record.bytes_up, 64 << 20)
      assert.equal(record.bytes_down, 64 << 20)
    })

  it('relays 100 Continue and other interim answers, and sends the body only then', async () => {
    const { port, server } = await setup.http(() => {})
    server.on('checkContinue', (request, response) => {
      response.writeEarlyHints({ link: '</a.css>; rel=preload' })
      response.writeContinue()
      request.pipe(response)
    })
    const egress = await setup.egress(port)
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const client = await rawClient(egress.number)
    client.send(
      get(port, `${auth}${CLOSE}Expect: 100-continue\r\nContent-Length: 4\r\n`, '/', 'POST'),
    )
    await client.until((text) => text.includes('100 Continue\r\n\r\n'))
    client.send('body')
    const text = await client.rest()
    assert.match(text, /^HTTP\/1\.1 103 [\s\S]*HTTP\/1\.1 100 [\s\S]*HTTP\/1\.1 200 [\s\S]*body/)
    client.socket.destroy()
  })

  it('frames answers to HEAD, 204, 304, and those that end with the connection', async () => {
    const { port } = await setup.http((request, response) => {
      if (request.url === '/head') response.setHeader('content-length', 99).end()
      else if (request.url === '/204') response.writeHead(204).end()
      else if (request.url === '/304') response.writeHead(304, { 'content-length': '99' }).end()
      else response.socket?.end('HTTP/1.1 200 OK\r\n\r\nto the end')
    })
    const egress = await setup.egress(port)
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const client = await rawClient(egress.number)
    client.send(
      get(port, auth, '/head', 'HEAD') +
        get(port, auth, '/204') +
        get(port, auth, '/304') +
        get(port, auth + CLOSE, '/close'),
    )
    const text = await client.rest()
    const statuses = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)
    assert.deepEqual(statuses, ['200', '204', '304', '200'])
    assert.match(text, /transfer-encoding: chunked\r\n[\s\S]*to the end\r\n0\r\n\r\n$/)
    client.socket.destroy()
  })

  it('carries trailers, and drops those that would change the message', async () => {
    const upstream = await setup.upstream((socket) => {
      socket.once('data', () =>
        socket.write(
          'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nContent-Length: 7\r\nX-Request-Id: of-another\r\nTraceparent: none\r\n\r\n',
        ),
      )
    })
    const egress = await setup.egress(upstream.port)
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const answer = await sendRaw(egress.number, get(upstream.port, auth + CLOSE))
    assert.match(answer, /2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n$/)
  })

  for (const scheme of ['http', 'ws'])
    it(`upgrades to WebSocket, asked for by ${scheme}://, and carries both directions`, async () => {
      const upstream = await setup.upstream((socket) => {
        socket.once('data', (head: Buffer) => {
          assert.match(head.toString(), /connection: upgrade\r\nupgrade: websocket/)
          socket.write(`${SWITCH}first`)
          socket.on('data', (data: Buffer) => socket.write(data))
          socket.on('end', () => socket.end())
        })
      })
      const egress = await setup.egress(upstream.port)
      const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
      const client = await rawClient(egress.number)
      client.send(get(upstream.port, auth + UPGRADE).replace('http:', `${scheme}:`))
      await client.until((text) => text.includes('first'))
      client.send('frame')
      await client.until((text) => text.endsWith('firstframe'))
      client.socket.end()
      await client.rest()
      const record = await egress.record(0)
      assert.equal(record.status, 101)
      assert.equal(record.bytes_up, 5)
      assert.equal(record.bytes_down, 10)
      assert.equal(record.reason, null)
    })

  it('hands on an answer that comes before the whole request, and then closes', async () => {
    const upstream = await setup.upstream((socket) => {
      socket.once('data', () =>
        socket.write('HTTP/1.1 418 Enough\r\nContent-Length: 4\r\n\r\nstop'),
      )
    })
    const egress = await setup.egress(upstream.port)
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const head = get(upstream.port, `${auth}Content-Length: 9000000\r\n`, '/', 'POST')
    const answer = await sendRaw(egress.number, head + 'x'.repeat(1_000_000))
    assert.match(answer, /^HTTP\/1\.1 418 Enough\r\n[\s\S]*connection: close\r\n\r\nstop$/)
    assert.equal((await egress.record(0)).status, 418)
  })

  it('gives a slow reader the whole of a last answer', async function () {
    this.timeout(60_000)
    const size = 12 << 20
    const upstream = await setup.upstream((socket) => {
      socket.once('data', () =>
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`),
      )
    })
    const egress = await setup.egress(upstream.port)
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const client = await rawClient(egress.number)
    client.send(get(upstream.port, auth + CLOSE))
    await client.until((text) => text.includes('\r\n\r\n'))
    client.socket.pause()
    // longer than the gateway lingers once all has gone out; waiting is what is tested here
    await new Promise((resolve) => setTimeout(resolve, 2500))
    client.socket.resume()
    const text = await client.rest()
    assert.equal(text.length - text.indexOf('\r\n\r\n') - 4, size)
    client.socket.destroy()
  })

  it('asks again on a new connection when an idle one had been closed, and only where that is safe', async () => {
    let asked = 0
    const upstream = await setup.upstream((socket) => {
      socket.once('data', () => {
        asked += 1
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        socket.once('data', () => socket.destroy())
      })
    })
    const egress = await setup.egress(upstream.port)
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const client = await rawClient(egress.number)
    client.send(get(upstream.port, auth))
    await client.until((text) => text.endsWith('ok'))
    client.send(get(upstream.port, auth))
    await client.until((text) => text.match(/\r\n\r\nok/g)?.length === 2)
    assert.equal(asked, 2)
    client.send(get(upstream.port, `${auth}Content-Length: 0\r\n`, '/', 'POST'))
    await client.until((text) => text.includes('MESH_EGRESS_LOST'))
    client.socket.destroy()
  })
})

describe('a refusal of the egress port', () => {
  const setup = setUp()
  afterEach(setup.close)

  it('says in JSON which gate, which code, which rule, and what to do', async () => {
    const egress = await setup.egress(80, { egress: { deny: ['evil.test'] } })
    const auth = basic(await egress.token({ destinations: ['evil.test'] }))
    const answer = await sendRaw(
      egress.number,
      `GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n${auth}${CLOSE}\r\n`,
    )
    assert.match(answer, /^HTTP\/1\.1 403 Forbidden\r\n/)
    const refusal = refusalOf(answer)
    assert.equal(refusal.code, 'MESH_POLICY_DENIED')
    assert.equal(refusal.gate, 'policy')
    assert.match(refusal.rule ?? '', /acme\.json#\/egress\/deny\/0/)
    const record = await egress.record(0)
    assert.equal(record.request_id, refusal.request_id)
    assert.equal(record.reason, refusal.code)
    assert.equal(record.action_allowed, false)
    assert.deepEqual(egress.asked, [])
  })

  it('asks for a credential where there is none, in both schemes', async () => {
    const egress = await setup.egress(80)
    const answer = await sendRaw(egress.number, get(80, CLOSE))
    assert.match(answer, /^HTTP\/1\.1 407 /)
    assert.match(answer, /proxy-authenticate: Bearer realm="clawmesh"\r\n/)
    assert.match(answer, /proxy-authenticate: Basic realm="clawmesh"/)
    assert.equal((await egress.record(0)).reason, 'MESH_TOKEN_MISSING')
  })

  for (const [what, header, code] of [
    ['another scheme', 'Negotiate abc', 'MESH_TOKEN_MALFORMED'],
    ['no JWT', 'Bearer abc', 'MESH_TOKEN_MALFORMED'],
    ['Basic without a colon', 'Basic YWJj', 'MESH_TOKEN_MALFORMED'],
    ['Basic without a user', 'Basic OmFiYw==', 'MESH_TOKEN_MALFORMED'],
  ] as const)
    it(`refuses a credential that is ${what}, and repeats nothing of it`, async () => {
      const egress = await setup.egress(80)
      const answer = await sendRaw(
        egress.number,
        get(80, `Proxy-Authorization: ${header}\r\n${CLOSE}`),
      )
      assert.match(answer, /^HTTP\/1\.1 403 /)
      assert.equal(refusalOf(answer).code, code)
      assert.equal(refusalOf(answer).gate, 'credential')
    })

  it('tells a user name that is not the agent of the token', async () => {
    const egress = await setup.egress(80)
    const token = await egress.token({ destinations: ['api.test'] })
    const answer = await sendRaw(egress.number, get(80, basic(token, 'bot-02') + CLOSE))
    assert.equal(refusalOf(answer).code, 'MESH_TOKEN_AGENT_MISMATCH')
    assert.equal(answer.includes(token), false)
  })

  it('tells a token that does not name the destination, and which name is near', async () => {
    const egress = await setup.egress(80, { egress: { allow: ['api.test'] } })
    const auth = basic(await egress.token({ destinations: ['test'] }))
    const refusal = refusalOf(await sendRaw(egress.number, get(80, auth + CLOSE)))
    assert.equal(refusal.code, 'MESH_TOKEN_DESTINATION')
    assert.match(refusal.hint, /api\.test is not in allowed_destinations; test is/)
  })

  it('tells an agent whose tenant has no policy', async () => {
    const egress = await setup.egress(80)
    const auth = basic(await egress.token({ tenant: 'globex', destinations: ['api.test'] }))
    const refusal = refusalOf(await sendRaw(egress.number, get(80, auth + CLOSE)))
    assert.equal(refusal.code, 'MESH_POLICY_NO_TENANT')
  })

  it('causes no lookup for a name that policy, or a bad credential, refuses', async () => {
    const egress = await setup.egress(80)
    const auth = basic(await egress.token({ destinations: ['other.test'] }))
    await sendRaw(
      egress.number,
      `GET http://other.test/ HTTP/1.1\r\nHost: other.test\r\n${auth}${CLOSE}\r\n`,
    )
    await sendRaw(egress.number, get(80, CLOSE))
    assert.deepEqual(egress.asked, [])
  })

  it('refuses an answer that mixes public and private addresses, and dials none', async () => {
    const egress = await setup.egress(80, {
      names: { 'api.test': ['93.184.215.14', '10.0.0.1'] },
    })
    const auth = basic(await egress.token({ destinations: ['api.test'] }))
    const refusal = refusalOf(await sendRaw(egress.number, get(80, auth + CLOSE)))
    assert.equal(refusal.code, 'MESH_EGRESS_ADDRESS_REFUSED')
    assert.equal(refusal.gate, 'address')
    assert.deepEqual(egress.asked, ['api.test'])
  })

  it('refuses its own port even where policy allows the address', async () => {
    const egress = await setup.egress(80)
    const own = egress.number
    egress.setPolicy({ allow: [`api.test:${own}`] }, { ports: [own] })
    const auth = basic(await egress.token({ destinations: [`api.test:${own}`] }))
    const refusal = refusalOf(await sendRaw(own, get(own, auth + CLOSE)))
    assert.equal(refusal.code, 'MESH_EGRESS_ADDRESS_REFUSED')
    assert.equal(refusal.rule, 'the gateway itself')
  })

  it('answers 502 for a name that does not resolve and a port where nothing listens', async () => {
    const upstream = await setup.upstream(() => {})
    await upstream.close()
    const egress = await setup.egress(upstream.port)
    const allowed = [`api.test:${upstream.port}`, 'gone.test']
    egress.setPolicy({ allow: allowed }, { ports: [80, upstream.port] })
    const auth = basic(await egress.token({ destinations: allowed }))
    const dead = refusalOf(await sendRaw(egress.number, get(upstream.port, auth + CLOSE)))
    assert.equal(dead.code, 'MESH_EGRESS_UNREACHABLE')
    const gone = await sendRaw(
      egress.number,
      `GET http://gone.test/ HTTP/1.1\r\nHost: gone.test\r\n${auth}${CLOSE}\r\n`,
    )
    assert.match(gone, /^HTTP\/1\.1 502 /)
    assert.equal(refusalOf(gone).code, 'MESH_EGRESS_UNRESOLVED')
    assert.equal((await egress.record(1)).action_allowed, true)
  })

  it('holds to the rate of an agent, and says when to come again', async () => {
    const { port } = await setup.http((_, response) => response.end('ok'))
    const egress = await setup.egress(port, {
      egress: { limits: { requestsPerMinute: 1, burst: 2 } },
    })
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const client = await rawClient(egress.number)
    client.send(get(port, auth) + get(port, auth) + get(port, auth + CLOSE))
    const text = await client.rest()
    assert.deepEqual(
      [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status),
      ['200', '200', '429'],
    )
    assert.match(text, /retry-after: (?:60|59)\r\n/)
    client.socket.destroy()
  })

  it('refuses a body that is too large, by what it says and by what it is', async () => {
    const { port } = await setup.http((request, response) => {
      request.resume().on('end', () => response.end('ok'))
    })
    const egress = await setup.egress(port, { egress: { limits: { maxBodyBytes: 10 } } })
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const said = get(port, `${auth}Content-Length: 11\r\n`, '/', 'POST')
    assert.equal(refusalOf(await sendRaw(egress.number, said)).code, 'MESH_LIMIT_SIZE')
    const chunked = `${get(port, `${auth}Transfer-Encoding: chunked\r\n`, '/', 'POST')}b\r\n01234567890\r\n0\r\n\r\n`
    const answer = await sendRaw(egress.number, chunked)
    assert.match(answer, /^HTTP\/1\.1 413 /)
    const fits = `${get(port, `${auth}${CLOSE}Content-Length: 10\r\n`, '/', 'POST')}0123456789`
    assert.match(await sendRaw(egress.number, fits), /^HTTP\/1\.1 200 /)
  })

  it('lets through in audit mode what nothing allows, and records what enforce would have said', async () => {
    const { port } = await setup.http((_, response) => response.end('ok'))
    const egress = await setup.egress(port)
    egress.setPolicy({ allow: [], agents: { 'bot-01': { mode: 'audit' } } }, { ports: [port] })
    const named = { destinations: [`api.test:${port}`] }
    for (const [nth, request] of [named, { audit: true }].entries()) {
      const auth = basic(await egress.token(request))
      assert.match(await sendRaw(egress.number, get(port, auth + CLOSE)), /^HTTP\/1\.1 200 /)
      const record = await egress.record(nth)
      assert.equal(record.mode, 'audit')
      assert.equal(record.action_allowed, true)
      assert.equal(record.reason, 'MESH_POLICY_NOT_ALLOWED')
    }
    assert.match(await egress.metrics(), /clawmesh_decisions_total\{[^}]*action="audit"/)
  })

  it('hides what went wrong inside, and lives on', async () => {
    const egress = await setup.egress(80, {
      port: {
        verifyToken: () => {
          throw new Error('the secret cause')
        },
      },
    })
    const answer = await sendRaw(
      egress.number,
      get(80, `Proxy-Authorization: Bearer x\r\n${CLOSE}`),
    )
    assert.match(answer, /^HTTP\/1\.1 500 /)
    assert.doesNotMatch(answer, /secret/)
    assert.match(await sendRaw(egress.number, get(80, CLOSE)), /^HTTP\/1\.1 407 /)
  })

  it('passes on what the verifier says of an expired token', async () => {
    const egress = await setup.egress(80, {
      port: { verifyToken: () => Promise.reject(new MeshError('MESH_TOKEN_EXPIRED')) },
    })
    const answer = await sendRaw(
      egress.number,
      get(80, `Proxy-Authorization: Bearer x\r\n${CLOSE}`),
    )
    const refusal = refusalOf(answer)
    assert.equal(refusal.code, 'MESH_TOKEN_EXPIRED')
    assert.match(refusal.hint, /clocks/)
  })
})
