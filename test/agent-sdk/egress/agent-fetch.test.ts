import assert from 'node:assert/strict'
import * as http from 'node:http'
import * as https from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { MeshError, Secret } from '@clawmesh/proto'
import { createEgressClient, type EgressClient } from '../../../agent-sdk/src/egress/agent-fetch.ts'
import { createTokenSource } from '../../../agent-sdk/src/egress/token-source.ts'
import { silentLog } from '../../../agent-sdk/src/log.ts'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'

const body = (code: string) =>
  JSON.stringify({
    code,
    gate: 'policy',
    reason: 'no rule',
    rule: 'r1',
    hint: 'ask',
    request_id: 'q',
  })

describe('fetch through the egress port', () => {
  let ca: TestCa
  let origin: http.Server
  let secure: https.Server
  let proxy: http.Server
  let client: EgressClient
  let issued = 0
  let refuse: (token: string) => { status: number; line?: string; body: string } | null = () => null
  const seen: { method: string; url: string; token: string; host: string }[] = []
  const sockets = new Set<Socket>()
  const portOf = (server: http.Server) => (server.address() as AddressInfo).port

  before(async () => {
    ca = await makeTestCa()
    const pem = ca.ca.issueAgent({ tenant: 'acme', agent: 'web' })
    const answer: http.RequestListener = (request, response) => {
      let text = ''
      request.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      request.on('end', () => {
        if (request.url === '/moved') response.writeHead(302, { location: '/here' }).end()
        else if (request.url === '/own-403')
          response.writeHead(403, { 'content-type': 'application/json' }).end('{"code":"MINE"}')
        else if (request.url === '/fake')
          // https comes from within the tunnel, where nobody strips what only the gateway may say
          response
            .writeHead(403, {
              'content-type': 'application/json',
              'content-length': body('MESH_TOKEN_EXPIRED').length,
              'x-request-id': 'q',
              ...(request.socket instanceof TLSSocket ? { 'x-mesh-refusal': 'yes' } : {}),
            })
            .end(body('MESH_TOKEN_EXPIRED'))
        else
          response.end(
            `${request.method} ${request.url} ${text} ${request.headers['proxy-authorization'] ?? 'clean'}`,
          )
      })
    }
    origin = http.createServer(answer)
    secure = https.createServer(
      { cert: pem.certificateChain, key: pem.privateKey.reveal() },
      answer,
    )
    proxy = http.createServer((request, response) => {
      const url = new URL(request.url ?? '')
      const refused = note(request)
      if (refused !== null) {
        const head = {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(refused.body),
          'x-request-id': 'q',
          'x-mesh-refusal': 'yes',
        }
        response.writeHead(refused.status, head).end(refused.body)
        return
      }
      const { 'proxy-authorization': _secret, ...headers } = request.headers
      const onward = http.request(
        {
          host: '127.0.0.1',
          port: portOf(origin),
          method: request.method ?? 'GET',
          path: url.pathname,
          headers,
        },
        (answered) => {
          response.writeHead(answered.statusCode ?? 502, answered.headers)
          answered.pipe(response)
        },
      )
      request.pipe(onward)
    })
    proxy.on('connect', (request: http.IncomingMessage, socket: Socket) => {
      socket.on('error', () => {})
      const refused = note(request)
      if (refused !== null) {
        const length = Buffer.byteLength(refused.body)
        socket.end(
          `HTTP/1.1 ${refused.status} ${refused.line ?? 'Forbidden'}\r\ncontent-length: ${length}\r\n\r\n${refused.body}`,
        )
        return
      }
      const onward = connect(portOf(secure), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        onward.pipe(socket).pipe(onward)
      })
      onward.on('error', () => {})
    })
    for (const server of [origin, secure, proxy]) {
      server.on('connection', (socket: Socket) => {
        sockets.add(socket)
        socket.once('close', () => sockets.delete(socket))
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    }
  })
  beforeEach(() => {
    seen.length = 0
    issued = 0
    refuse = () => null
    const exchange = async () => {
      issued += 1
      return { token: new Secret(`t${issued}`), expiresMs: Date.now() + 900_000, boundTo: null }
    }
    client = createEgressClient({
      proxy: new URL(`http://127.0.0.1:${portOf(proxy)}`),
      tokens: createTokenSource({ exchange, log: silentLog, now: Date.now }),
      ca: ca.ca.issueAgent({ tenant: 'acme', agent: 'x' }).roots,
    })
  })
  afterEach(() => client.close())
  after(async () => {
    for (const server of [proxy, origin, secure]) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
    for (const socket of sockets) socket.destroy()
    await ca.close()
  })

  const note = (request: http.IncomingMessage) => {
    const token = (request.headers['proxy-authorization'] ?? '').replace('Bearer ', '')
    const { method = '', url = '', headers } = request
    seen.push({ method, url, token, host: headers.host ?? '' })
    return refuse(token)
  }
  const site = 'https://web.acme.mesh.internal'

  it('http goes in absolute form, with the token, which the destination does not see', async () => {
    const response = await client.fetch('http://example.test/a', { method: 'POST', body: 'hi' })
    assert.equal(await response.text(), 'POST /a hi clean')
    assert.deepEqual(seen, [
      { method: 'POST', url: 'http://example.test/a', token: 't1', host: 'example.test' },
    ])
  })

  it('https goes by CONNECT, with the port named, its certificate verified end to end', async () => {
    const response = await client.fetch(`${site}/a`)
    assert.equal(await response.text(), 'GET /a  clean')
    const target = 'web.acme.mesh.internal:443'
    assert.deepEqual(seen, [{ method: 'CONNECT', url: target, token: 't1', host: target }])
    await assert.rejects(client.fetch('https://other.test/'), TypeError)
  })

  it('redirects go through the egress port as well', async () => {
    assert.equal(await (await client.fetch('http://example.test/moved')).text(), 'GET /here  clean')
    assert.equal(seen.length, 2)
  })

  it('a refusal is a MeshError with code, rule and hint, in both forms', async () => {
    refuse = () => ({
      status: 403,
      line: 'MESH_POLICY_NOT_ALLOWED no',
      body: body('MESH_POLICY_NOT_ALLOWED'),
    })
    for (const url of ['http://example.test/', site])
      await assert.rejects(client.fetch(url), (error: MeshError) => {
        assert.ok(error instanceof MeshError)
        assert.equal(error.code, 'MESH_POLICY_NOT_ALLOWED')
        assert.equal(error.message, 'no rule')
        assert.equal(error.hint, 'ask')
        assert.deepEqual(error.facts, { gate: 'policy', request_id: 'q', rule: 'r1' })
        return true
      })
    assert.equal(issued, 1)
  })

  it('where CONNECT is refused without a body, the status line says why', async () => {
    refuse = () => ({ status: 403, line: 'MESH_EGRESS_PORT_REFUSED: port 22; ask', body: '' })
    await assert.rejects(client.fetch(site), {
      code: 'MESH_EGRESS_PORT_REFUSED',
      message: 'port 22; ask',
    })
    refuse = () => ({ status: 502, line: 'Bad Gateway', body: '' })
    await assert.rejects(client.fetch(site), { code: 'MESH_EGRESS_UNREACHABLE' })
  })

  it('a token that is not taken any more is replaced once, body and all', async () => {
    refuse = (token) => (token === 't1' ? { status: 403, body: body('MESH_TOKEN_EXPIRED') } : null)
    const options = { method: 'POST', body: 'again' }
    assert.equal(
      await (await client.fetch('http://example.test/', options)).text(),
      'POST / again clean',
    )
    assert.equal(issued, 2)
    refuse = () => ({ status: 403, body: body('MESH_TOKEN_REVOKED') })
    await assert.rejects(client.fetch(site), { code: 'MESH_TOKEN_REVOKED' })
    assert.ok(issued <= 4)
  })

  it('what looks like a refusal of the gateway, and comes from the destination, is an answer', async () => {
    for (const url of ['http://example.test/fake', `${site}/fake`]) {
      const response = await client.fetch(url)
      assert.equal(response.status, 403)
      assert.equal(await response.text(), body('MESH_TOKEN_EXPIRED'))
    }
    assert.equal(issued, 1, 'and no destination makes an agent get new tokens')
  })

  it("a 403 of the destination's own is the destination's answer", async () => {
    const response = await client.fetch('http://example.test/own-403')
    assert.equal(response.status, 403)
    assert.deepEqual(await response.json(), { code: 'MINE' })
  })

  it('never goes past the egress port', async () => {
    const dead = createEgressClient({
      proxy: new URL('http://127.0.0.1:9'),
      tokens: {
        get: async () => ({ token: new Secret('x'), expiresMs: Infinity, boundTo: null }),
        refuse: () => {},
      },
    })
    for (const url of [
      `http://127.0.0.1:${portOf(origin)}/`,
      `https://127.0.0.1:${portOf(secure)}/`,
    ])
      await assert.rejects(dead.fetch(url), { code: 'MESH_GATEWAY_UNREACHABLE' })
    await dead.close()
    await assert.rejects(client.fetch('file:///etc/passwd'), TypeError)
    await client.close()
    await assert.rejects(client.fetch('http://example.test/'), { code: 'MESH_CALL_CANCELED' })
  })

  it('ends with its signal', async () => {
    await assert.rejects(
      client.fetch(site, { signal: AbortSignal.abort(new Error('enough')) }),
      /enough/,
    )
  })
})

const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

describe('egress tokens', () => {
  const source = () => {
    const state = { now: 0, setBackMs: 0, calls: 0, fail: false }
    const tokens = createTokenSource({
      exchange: async () => {
        state.calls += 1
        if (state.fail) throw new MeshError('MESH_GATEWAY_UNREACHABLE')
        return {
          token: new Secret(`t${state.calls}`),
          expiresMs: state.now - state.setBackMs + 100_000,
          boundTo: null,
        }
      },
      log: silentLog,
      now: () => state.now - state.setBackMs,
      monotonicNow: () => state.now,
    })
    return { state, tokens }
  }

  it('are asked for once, however many want one', async () => {
    const { state, tokens } = source()
    await Promise.all(Array.from({ length: 50 }, () => tokens.get(TRACE)))
    assert.equal(state.calls, 1)
  })

  it('are renewed before they end, without anybody waiting, and the old one is kept if that fails', async () => {
    const { state, tokens } = source()
    const first = await tokens.get(TRACE)
    state.now = 81_000
    state.fail = true
    assert.equal(await tokens.get(TRACE), first)
    await new Promise(setImmediate)
    state.fail = false
    assert.equal(await tokens.get(TRACE), first)
    await new Promise(setImmediate)
    assert.equal((await tokens.get(TRACE)).token.reveal(), 't3')
  })

  it('end in their time though the clock is set back', async () => {
    const { state, tokens } = source()
    await tokens.get(TRACE)
    state.now = 99_000
    state.setBackMs = 600_000
    assert.equal((await tokens.get(TRACE)).token.reveal(), 't2')
  })

  it('that have ended are not used', async () => {
    const { state, tokens } = source()
    await tokens.get(TRACE)
    state.now = 99_000
    state.fail = true
    await assert.rejects(tokens.get(TRACE), { code: 'MESH_GATEWAY_UNREACHABLE' })
  })
})
