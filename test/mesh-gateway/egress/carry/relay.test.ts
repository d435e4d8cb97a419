/** Relay form: a plain request with another's Host, and the gateway makes the TLS connection. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { openUpstreamTrust } from '../../../../mesh-gateway/src/egress/upstream/upstream-trust.ts'
import { makeTestCa, type TestCa } from '../../../support/test-ca.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { type FixtureOptions, rawClient, refusalOf, sendRaw } from '../fixture.ts'
import { basic, SWITCH, setUp, UPGRADE } from '../setup.ts'

const HOST = 'planner.acme.mesh.internal'
const CLOSE = 'Connection: close\r\n'

describe('a request in relay form', () => {
  const setup = setUp()
  let ca: TestCa
  let other: TestCa
  before(async () => {
    ca = await makeTestCa()
    other = await makeTestCa()
  })
  after(async () => {
    await ca.close()
    await other.close()
  })
  afterEach(setup.close)

  const secure = (serve: RequestListener, by = ca) => setup.https(serve, by)

  async function open(port: number, egress: object = {}, options: FixtureOptions = {}) {
    const fixture = await setup.egress(port, {
      names: { [HOST]: ['127.0.0.1'], 'api.test': ['127.0.0.1'] },
      ca: ca.ca.issueAgent({ tenant: 'acme', agent: 'planner' }).roots,
      ...options,
      egress: { allow: [`${HOST}:${port}`], ...egress },
    })
    const token = await fixture.token({ destinations: [`${HOST}:${port}`, `api.test:${port}`] })
    const auth = basic(token)
    const ask = (line: string, headers = auth, body = '', host = `${HOST}:${port}`) =>
      sendRaw(
        fixture.number,
        `${line} HTTP/1.1\r\nHost: ${host}\r\n${headers}${CLOSE}${body === '' ? '' : `Content-Length: ${body.length}\r\n`}\r\n${body}`,
      )
    return { fixture, token, auth, ask }
  }

  it('reaches the destination over verified TLS, with path, query and body as they were', async () => {
    const seen: object[] = []
    const { port } = await secure((request, response) => {
      seen.push({ method: request.method, url: request.url, host: request.headers.host })
      request.pipe(response.writeHead(201, { 'content-type': 'application/json' }))
    })
    const { ask, fixture } = await open(port)
    const answer = await ask('POST /v1/x?y=%2F', undefined, '{"jsonrpc":"2.0","id":1}')
    assert.match(answer, /^HTTP\/1\.1 201 [\s\S]*\{"jsonrpc":"2\.0","id":1\}/)
    assert.deepEqual(seen, [{ method: 'POST', url: '/v1/x?y=%2F', host: `${HOST}:${port}` }])
    const record = await fixture.record(0)
    assert.deepEqual(
      [record.method, record.path, record.destination_host, record.destination_ip, record.status],
      ['POST', '/v1/x', HOST, '127.0.0.1', 201],
    )
  })

  it('takes the token from Authorization when it is its own, and hands on neither', async () => {
    const seen: (string | undefined)[][] = []
    const { port } = await secure((request, response) => {
      seen.push([request.headers.authorization, request.headers['proxy-authorization']])
      response.end()
    })
    const { ask, token, auth } = await open(port)
    assert.match(await ask('GET /', `Authorization: Bearer ${token}\r\n`), /^HTTP\/1\.1 200 /)
    assert.match(await ask('GET /', `${auth}Authorization: Bearer sk-1\r\n`), /^HTTP\/1\.1 200 /)
    assert.match(await ask('GET /', 'Authorization: Bearer sk-1\r\n'), /^HTTP\/1\.1 407 /)
    assert.deepEqual(seen, [
      [undefined, undefined],
      ['Bearer sk-1', undefined],
    ])
  })

  it('meets rules with methods and paths, which a tunnel cannot', async () => {
    const { port } = await secure((_, response) => response.end('ok'))
    const rule = { host: `${HOST}:${port}`, methods: ['GET'], paths: ['/repos/acme/**'] }
    const { ask } = await open(port, { allow: [rule] })
    assert.match(await ask('GET /repos/acme/x'), /^HTTP\/1\.1 200 /)
    for (const line of ['POST /repos/acme/x', 'GET /repos/globex/x'])
      assert.match(await ask(line), /^HTTP\/1\.1 403 [\s\S]*MESH_POLICY_NOT_ALLOWED/)
    for (const path of ['/repos/acme/../globex', '/repos/acme/%2e%2e/x', '/repos/acme%2f..%2fx'])
      assert.match(await ask(`GET ${path}`), /^HTTP\/1\.1 403 /, path)
  })

  it('is refused at the same gates as the other forms, before any lookup', async () => {
    const { port } = await secure((_, response) => response.end())
    const { ask, fixture, auth } = await open(port)
    assert.match(await ask('GET /', ''), /^HTTP\/1\.1 407 /)
    assert.match(await ask('GET /', auth, '', 'evil.test'), /^HTTP\/1\.1 403 [\s\S]*"policy"/)
    assert.match(await ask('GET /', auth, '', `u@${HOST}:${port}`), /^HTTP\/1\.1 400 /)
    assert.match(await ask('GET /', auth, '', `${HOST}:0`), /^HTTP\/1\.1 400 /)
    assert.match(await ask('OPTIONS *'), /^HTTP\/1\.1 400 /)
    assert.deepEqual(fixture.asked, [])
  })

  it('means port 443 when Host has none, and leaves 443 out of the Host that it sends', async () => {
    const { ask, fixture, auth } = await open(9, { allow: [HOST] })
    await ask('GET /', auth, '', HOST)
    const record = await fixture.record(0)
    assert.deepEqual([record.destination_port, record.reason], [443, 'MESH_TOKEN_DESTINATION'])
  })

  for (const [what, host, by] of [
    ['a CA that nobody configured', HOST, 'other'],
    ['another name', 'api.test', 'own'],
  ] as const)
    it(`is not sent to a server whose certificate is from ${what}`, async () => {
      let reached = false
      const { port } = await secure(
        (_, response) => {
          reached = true
          response.end()
        },
        by === 'own' ? ca : other,
      )
      const { ask, auth, fixture } = await open(port, { allow: [`${host}:${port}`] })
      const answer = await ask('GET /', auth, '', `${host}:${port}`)
      assert.match(answer, /^HTTP\/1\.1 502 /)
      const { code, gate, reason } = refusalOf(answer)
      assert.deepEqual([code, gate], ['MESH_EGRESS_UPSTREAM_TLS', 'tls'])
      assert.match(reason, /is not to be trusted \([A-Z_]+\)/)
      assert.equal(reached, false)
      assert.equal((await fixture.record(0)).reason, 'MESH_EGRESS_UPSTREAM_TLS')
    })

  it('fails with 502 where no TLS is spoken, and with 504 where nothing is said', async () => {
    const plain = await setup.upstream((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n'))
    const one = await open(plain.port)
    assert.match(await one.ask('GET /'), /^HTTP\/1\.1 502 [\s\S]*MESH_EGRESS_UPSTREAM_TLS/)
    const silent = await setup.upstream(() => {})
    const two = await open(silent.port, {}, { port: { timeouts: { dialMs: 80 } } })
    assert.match(await two.ask('GET /'), /^HTTP\/1\.1 504 [\s\S]*handshake/)
  })

  it('goes in the clear where the rule says scheme http, and there alone', async () => {
    const { port } = await setup.http((request, response) => response.end(request.url))
    const rule = { host: `${HOST}:${port}`, scheme: 'http' }
    const { ask } = await open(port, { allow: [rule] })
    assert.match(await ask('GET /clear'), /^HTTP\/1\.1 200 [\s\S]*\/clear/)
  })

  it('hands redirects back and follows none', async () => {
    let requests = 0
    const { port } = await secure((_, response) => {
      requests += 1
      response.writeHead(302, { location: 'https://evil.test/' }).end()
    })
    const { ask, fixture } = await open(port)
    assert.match(await ask('GET /'), /^HTTP\/1\.1 302 [\s\S]*location: https:\/\/evil\.test\//)
    assert.equal(requests, 1)
    assert.deepEqual(fixture.asked, [HOST])
  })

  it('streams events as they come', async () => {
    const { port } = await secure((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: 1\n\n')
      setTimeout(() => response.end('data: 2\n\n'), 40)
    })
    const { fixture, auth } = await open(port)
    const client = await rawClient(fixture.number)
    client.send(`GET /events HTTP/1.1\r\nHost: ${HOST}:${port}\r\n${auth}\r\n`)
    const first = await client.until((text) => text.includes('data: 1'))
    assert.equal(first.includes('data: 2'), false)
    await client.until((text) => text.includes('data: 2') && text.endsWith('0\r\n\r\n'))
    client.socket.destroy()
  })

  it('upgrades to WebSocket over TLS', async () => {
    const { port, server } = await secure((_, response) => response.end())
    server.on('upgrade', (_, socket) => {
      socket.write(SWITCH)
      socket.pipe(socket)
    })
    const { fixture, auth } = await open(port)
    const client = await rawClient(fixture.number)
    client.send(`GET /ws HTTP/1.1\r\nHost: ${HOST}:${port}\r\n${auth}${UPGRADE}\r\nearly`)
    await client.until((text) => /^HTTP\/1\.1 101 [\s\S]*early$/.test(text))
    client.socket.destroy()
  })

  it('reuses a connection for the same agent and host, and never one in the clear for one over TLS', async () => {
    let connections = 0
    const { port, server } = await secure((_, response) => response.end('ok'))
    server.on('secureConnection', () => {
      connections += 1
    })
    const { ask } = await open(port)
    for (let index = 0; index < 3; index += 1) assert.match(await ask('GET /'), /^HTTP\/1\.1 200 /)
    assert.equal(connections, 1)
  })

  it('is not sent over a connection that was made while other roots were believed', async () => {
    const { port } = await secure((_, response) => response.end('ok'))
    const rootsOf = ({ ca: issuer }: TestCa) =>
      createSecureContext({ ca: issuer.issueAgent({ tenant: 'acme', agent: 'planner' }).roots })
    let trust = rootsOf(ca)
    const { ask } = await open(port, {}, { port: { trust: () => trust } })
    assert.match(await ask('GET /'), /^HTTP\/1\.1 200 /)
    trust = rootsOf(other)
    assert.equal(refusalOf(await ask('GET /')).code, 'MESH_EGRESS_UPSTREAM_TLS')
  })

  it('carries 16 MiB both ways intact', async () => {
    const { port } = await secure((request, response) => request.pipe(response))
    const { ask } = await open(port)
    const body = '0123456789abcdef'.repeat(1024 * 1024)
    const answer = await ask('POST /', undefined, body)
    const text = answer.slice(answer.indexOf('\r\n\r\n') + 4)
    const unchunked = text.replace(/(?:^|\r\n)[0-9a-f]+\r\n/g, '').replace(/\r\n$/, '')
    assert.equal(unchunked.length, body.length)
    assert.ok(unchunked === body)
  })

  for (const [what, lines] of [
    ['CL and TE', ['Content-Length: 6', 'Transfer-Encoding: chunked', '', '0', '', 'X']],
    ['TE.TE', ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity']],
    ['TE, chunked last', ['Transfer-Encoding: gzip, chunked']],
    ['two lengths', ['Content-Length: 1', 'Content-Length: 2']],
    ['a second Host', ['Host: evil.test']],
    ['a nominated Host', ['Connection: host']],
    ['a nominated length', ['Connection: content-length', 'Content-Length: 1', '', 'x']],
    ['a folded header', ['X: a', ' b: c']],
  ] as const)
    it(`cannot smuggle with ${what}`, async () => {
      let requests = 0
      const { port } = await secure((_, response) => {
        requests += 1
        response.end()
      })
      const { fixture, auth } = await open(port)
      const head = ['POST / HTTP/1.1', `Host: ${HOST}:${port}`, auth.trimEnd(), ...lines, '', '']
      const answer = await sendRaw(fixture.number, head.join('\r\n'))
      assert.match(answer, /^HTTP\/1\.1 400 [\s\S]*MESH_EGRESS_MALFORMED/)
      assert.equal(requests, 0)
    })

  it('asks for h2c, or any other upgrade than WebSocket, in vain', async () => {
    const seen: object[] = []
    const { port } = await secure((request, response) => {
      const { upgrade, connection } = request.headers
      seen.push({ upgrade, connection, settings: request.headers['http2-settings'] })
      response.end('plain')
    })
    const { ask, auth } = await open(port)
    for (const upgrade of ['h2c', 'h2c, websocket', 'TLS/1.0', 'websocket, h2c'])
      assert.match(
        await ask(
          'GET /',
          `${auth}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: ${upgrade}\r\nHTTP2-Settings: AAMAAABk\r\n`,
        ),
        /^HTTP\/1\.1 200 [\s\S]*plain/,
      )
    assert.equal(seen.length, 4)
    for (const one of seen)
      assert.deepEqual(one, { upgrade: undefined, connection: 'keep-alive', settings: undefined })
  })

  it('that is still answered ends at once when policy, an address rule or a revocation says so', async () => {
    const { port } = await secure((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: 1\n\n')
    })
    const { fixture, auth } = await open(port)
    const stream = async () => {
      const client = await rawClient(fixture.number)
      client.send(`GET /events HTTP/1.1\r\nHost: ${HOST}:${port}\r\n${auth}\r\n`)
      await client.until((text) => text.includes('data: 1'))
      return client
    }
    const revoked = await stream()
    assert.equal(
      fixture.port.endTunnels(() => 'MESH_TOKEN_REVOKED'),
      1,
    )
    assert.equal((await revoked.rest()).endsWith('0\r\n\r\n'), false)
    const allow = [`${HOST}:${port}`]
    const judged = await stream()
    fixture.setPolicy({ allow }, { ports: [port], denyCidrs: ['127.0.0.1/32'] })
    await judged.rest()
    fixture.setPolicy({ allow }, { ports: [port] })
    const disallowed = await stream()
    fixture.setPolicy({ allow: [] }, { ports: [port] })
    await disallowed.rest()
    await fixture.record(2)
    assert.deepEqual(
      fixture.records.map((record) => [record.status, record.reason, record.action_allowed]),
      [
        [200, 'MESH_TOKEN_REVOKED', true],
        [200, 'MESH_EGRESS_ADDRESS_REFUSED', true],
        [200, 'MESH_POLICY_NOT_ALLOWED', true],
      ],
    )
  })

  it('that has no answer yet is refused when policy changes meanwhile', async () => {
    let arrived = () => {}
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const { port } = await secure(() => arrived())
    const { fixture, ask } = await open(port)
    const answer = ask('GET /')
    await arrival
    fixture.setPolicy({ allow: [] }, { ports: [port] })
    assert.match(await answer, /^HTTP\/1\.1 403 [\s\S]*"gate":"policy"/)
  })

  it('ends with its token while it streams', async () => {
    let skewMs = 0
    const { port } = await secure((_, response) => {
      response.writeHead(200)
      response.write('x')
    })
    const { fixture, auth } = await open(port, {}, { port: { now: () => Date.now() + skewMs } })
    const client = await rawClient(fixture.number)
    client.send(`GET / HTTP/1.1\r\nHost: ${HOST}:${port}\r\n${auth}\r\n`)
    await client.until((text) => text.includes('x'))
    skewMs = 16 * 60_000
    await client.rest()
    assert.equal((await fixture.record(0)).reason, 'MESH_TOKEN_EXPIRED')
  })
})

describe('whom the gateway believes in relay form', () => {
  const setup = setUp()
  let ca: TestCa
  let roots: string
  before(async () => {
    ca = await makeTestCa()
    roots = ca.ca.issueAgent({ tenant: 'acme', agent: 'planner' }).roots
  })
  after(() => ca.close())
  afterEach(setup.close)

  it('is a file that is followed; damaged, empty or gone it leaves the last good one', async () => {
    const file = join(ca.dir, 'upstream.pem')
    await writeFile(file, roots)
    const trust = await openUpstreamTrust({ file, pollMs: 20 })
    setup.closing.push(() => trust.close())
    const first = trust.context()
    for (const bad of ['', 'garbage', roots.slice(0, 200)]) {
      await writeFile(file, bad)
      assert.equal(await trust.reload(), false)
      assert.equal(trust.context(), first)
    }
    await writeFile(file, `${roots}${roots}`)
    await waitFor('the new roots', () => trust.context() !== first)
  })

  for (const [what, text] of [
    ['empty', ''],
    ['garbage', '-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n'],
  ] as const)
    it(`is not opened with a file that is ${what}`, async () => {
      const file = join(ca.dir, 'bad.pem')
      await writeFile(file, text)
      await assert.rejects(openUpstreamTrust({ file }), { code: 'MESH_CONFIG_INVALID' })
    })
})
