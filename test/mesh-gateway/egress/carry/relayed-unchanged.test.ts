/** In relay form what an agent and an API say to each other passes byte for byte; and a server whose certificate is no good hears nothing. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type TLSSocket } from 'node:tls'
import { type Minted, type MintOptions, mint } from '../../../agent-sdk/tls/mint.ts'
import { withChecksOff } from '../../../support/tls-checks-off.ts'
import { rawClient, refusalOf, sendRaw } from '../fixture.ts'
import { basic, setUp } from '../setup.ts'

const HOST = 'api.test'
const DAY = 86_400_000

describe('relay form', () => {
  const setup = setUp()
  const root = mint({ name: 'root', pathLength: null })
  afterEach(setup.close)

  /** A TLS server that keeps what it hears. */
  async function secure(serve: (socket: TLSSocket) => void, leaf = good(), chain = '') {
    let handshakes = 0
    const sockets = new Set<TLSSocket>()
    const server = createServer({ cert: leaf.pem + chain, key: leaf.keyPem }, (socket) => {
      handshakes += 1
      sockets.add(socket)
      socket.on('error', () => {})
      serve(socket)
    })
    server.on('tlsClientError', () => {})
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    setup.closing.push(async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    })
    const address = server.address()
    assert.ok(typeof address === 'object' && address !== null)
    return { port: address.port, handshakes: () => handshakes }
  }
  const good = (options: MintOptions = {}) =>
    mint({ issuer: root, name: 'leaf', dnsNames: [HOST], ...options })

  async function open(port: number, ca = root.pem) {
    const egress = await setup.egress(port, { ca, names: { [HOST]: ['127.0.0.1'] } })
    const auth = basic(await egress.token({ destinations: [`${HOST}:${port}`] }))
    return { egress, auth }
  }

  it('passes JSON-RPC and everything around it unchanged, in both directions', async () => {
    const question = Buffer.from(
      '{"jsonrpc": "2.0",\r\n\t"id" : 1e0 , "method":"tools/call","params":{"b":1,"a":"\u00fc\u2028\ud83d\ude00\\u0000","b":2}}\n',
    )
    const answer = Buffer.from('{"jsonrpc":"2.0", "id":1,"result":{"z":0.10,"a":null}}\r\n\r\n')
    let heard = Buffer.alloc(0)
    const { port } = await secure((socket) =>
      socket.on('data', (data: Buffer) => {
        heard = Buffer.concat([heard, data])
        if (!heard.includes('\r\n\r\n') || !heard.subarray(-question.length).equals(question))
          return
        socket.write(
          `HTTP/1.1 200 Fine, thank you\r\nContent-Type: application/json; charset=UTF-8\r\nMcp-Session-Id: AbC\r\nset-cookie: b=2\r\nSet-Cookie: a=1\r\nETag: W/"x"\r\nx-Empty:\r\nContent-Length: ${answer.length}\r\n\r\n`,
        )
        socket.write(answer)
      }),
    )
    const { egress, auth } = await open(port)
    const fields = [
      'accept: application/json, text/event-stream',
      'Authorization: Bearer sk-Abc.Def',
      'MCP-Protocol-Version: 2025-06-18',
      'x-b: 2',
      'X-A: 1',
      'x-b: 1',
      'X-Utf8: \xc3\xbc',
      'Content-Type: application/json',
      'Accept-Encoding: gzip, br',
      'User-Agent: agent/1 (x; y)',
    ]
    const client = await rawClient(egress.number)
    client.send(
      `POST /mcp/v1%3Abatch?x=%2F&y=a+b&&z HTTP/1.1\r\nHost: ${HOST}:${port}\r\n${fields.join('\r\n')}\r\n${auth}Content-Length: ${question.length}\r\n\r\n`,
    )
    client.send(question)
    await client.until((text) => text.endsWith('null}}\r\n\r\n'))
    client.socket.destroy()

    const end = heard.indexOf('\r\n\r\n')
    assert.deepEqual(heard.subarray(end + 4), question)
    const [line, host, ...rest] = heard.toString('latin1', 0, end).split('\r\n')
    assert.equal(line, 'POST /mcp/v1%3Abatch?x=%2F&y=a+b&&z HTTP/1.1')
    assert.equal(host, `host: ${HOST}:${port}`)
    assert.deepEqual(rest.slice(0, fields.length), fields)
    assert.deepEqual(
      rest.slice(fields.length).map((field) => field.slice(0, field.indexOf(':'))),
      ['content-length', 'via', 'x-request-id', 'traceparent', 'connection'],
    )

    const got = client.received()
    const body = got.indexOf('\r\n\r\n') + 4
    assert.deepEqual(got.subarray(body), answer)
    assert.deepEqual(
      got
        .toString('latin1', 0, body - 4)
        .split('\r\n')
        .slice(0, 8),
      [
        'HTTP/1.1 200 Fine, thank you',
        'Content-Type: application/json; charset=UTF-8',
        'Mcp-Session-Id: AbC',
        'set-cookie: b=2',
        'Set-Cookie: a=1',
        'ETag: W/"x"',
        'x-Empty: ',
        `Content-Length: ${answer.length}`,
      ],
    )
  })

  it('hands on each event when it comes, before the next is sent', async () => {
    const sockets: TLSSocket[] = []
    const { port } = await secure((socket) => {
      sockets.push(socket)
      socket.once('data', () =>
        socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n'),
      )
    })
    const { egress, auth } = await open(port)
    const client = await rawClient(egress.number)
    client.send(`GET /events HTTP/1.1\r\nHost: ${HOST}:${port}\r\n${auth}\r\n`)
    await client.until((text) => text.includes('\r\n\r\n'))
    for (let event = 0; event < 20; event += 1) {
      sockets[0]?.write(`id: ${event}\ndata: {"n":${event}}\n\n`)
      await client.until((text) => text.endsWith(`data: {"n":${event}}\n\n\r\n`))
    }
    sockets[0]?.end()
    await client.until((text) => text.endsWith('\r\n0\r\n\r\n'))
    client.socket.destroy()
  })

  for (const status of [301, 302, 303, 307, 308])
    it(`hands ${status} back, and asks nobody for where it leads`, async () => {
      const { port } = await secure((socket) =>
        socket.once('data', () =>
          socket.write(
            `HTTP/1.1 ${status} Elsewhere\r\nLocation: https://evil.test/\r\nContent-Length: 0\r\n\r\n`,
          ),
        ),
      )
      const { egress, auth } = await open(port)
      const answer = await sendRaw(
        egress.number,
        `POST / HTTP/1.1\r\nHost: ${HOST}:${port}\r\n${auth}Connection: close\r\nContent-Length: 2\r\n\r\nhi`,
      )
      assert.match(
        answer,
        new RegExp(`^HTTP/1\\.1 ${status} Elsewhere\r\nLocation: https://evil\\.test/\r\n`),
      )
      assert.deepEqual(egress.asked, [HOST])
      assert.equal((await egress.record(0)).status, status)
    })

  const stranger = mint({ name: 'stranger', pathLength: null })
  const intermediate = mint({ issuer: root, name: 'intermediate', pathLength: 0 })
  for (const [what, leaf, code] of [
    ['has expired', () => good({ notBefore: ago(2), notAfter: ago(1) }), 'CERT_HAS_EXPIRED'],
    [
      'is not yet valid',
      () => good({ notBefore: ago(-1), notAfter: ago(-2) }),
      'CERT_NOT_YET_VALID',
    ],
    [
      'names another host',
      () => good({ dnsNames: ['other.test'] }),
      'ERR_TLS_CERT_ALTNAME_INVALID',
    ],
    [
      'names only what is below the host',
      () => good({ dnsNames: ['*.api.test'] }),
      'ERR_TLS_CERT_ALTNAME_INVALID',
    ],
    ['names no host', () => good({ dnsNames: [] }), 'ERR_TLS_CERT_ALTNAME_INVALID'],
    [
      'has signed itself',
      () => mint({ name: 'leaf', dnsNames: [HOST] }),
      '[A-Z_]*SELF_SIGNED[A-Z_]*|UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    ],
    ['is from an unknown CA', () => good({ issuer: stranger }), 'UNABLE_TO[A-Z_]*'],
    ['comes without its intermediate', () => good({ issuer: intermediate }), 'UNABLE_TO[A-Z_]*'],
    ['is for clients only', () => good({ usages: ['client'] }), 'INVALID_PURPOSE'],
    ['is issued by a leaf', () => good({ issuer: good() }), '[A-Z_]+'],
  ] as const)
    it(`says nothing to a server whose certificate ${what}`, async () => {
      let heard = 0
      const { port } = await secure((socket) => socket.on('data', () => (heard += 1)), leaf())
      const { egress, auth } = await open(port)
      const answer = await sendRaw(
        egress.number,
        `GET /secret HTTP/1.1\r\nHost: ${HOST}:${port}\r\n${auth}Connection: close\r\n\r\n`,
      )
      assert.match(answer, /^HTTP\/1\.1 502 /)
      const refusal = refusalOf(answer)
      assert.deepEqual([refusal.code, refusal.gate], ['MESH_EGRESS_UPSTREAM_TLS', 'tls'])
      assert.match(refusal.reason, new RegExp(`not to be trusted \\((?:${code})\\)`))
      assert.equal(heard, 0)
      const record = await egress.record(0)
      assert.deepEqual([record.reason, record.action_allowed], ['MESH_EGRESS_UPSTREAM_TLS', false])
    })

  it('says nothing to it either where the environment of the gateway turns the checks of Node off', async () => {
    let heard = 0
    const { port } = await secure(
      (socket) =>
        socket.on('data', () => {
          heard += 1
        }),
      good({ issuer: stranger }),
    )
    const { egress, auth } = await open(port)
    const answer = await withChecksOff(() =>
      sendRaw(
        egress.number,
        `GET / HTTP/1.1\r\nHost: ${HOST}:${port}\r\n${auth}Connection: close\r\n\r\n`,
      ),
    )
    assert.match(answer, /^HTTP\/1\.1 502 [\s\S]*MESH_EGRESS_UPSTREAM_TLS/)
    assert.equal(heard, 0)
  })

  it('takes a chain with its intermediate, and one name of several', async () => {
    const leaf: Minted = good({ issuer: intermediate, dnsNames: ['other.test', HOST] })
    const ok = (socket: TLSSocket) =>
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
    const { port, handshakes } = await secure(ok, leaf, intermediate.pem)
    const { egress, auth } = await open(port)
    const answer = await sendRaw(
      egress.number,
      `GET / HTTP/1.1\r\nHost: ${HOST}:${port}\r\n${auth}Connection: close\r\n\r\n`,
    )
    assert.match(answer, /^HTTP\/1\.1 200 OK[\s\S]*ok$/)
    assert.equal(handshakes(), 1)
  })
})

function ago(days: number): Date {
  return new Date(Date.now() - days * DAY)
}
