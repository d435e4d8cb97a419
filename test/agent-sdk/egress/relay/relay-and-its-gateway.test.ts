/** The relay before a stand-in for the egress port: answers byte for byte, ends and breaks of both sides, a gateway that is away. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { freePorts } from '../../../../scripts/dev/free-ports.ts'
import {
  type RawClient,
  rawClient,
  refusalOf,
  sendRaw,
} from '../../../mesh-gateway/egress/fixture.ts'
import { connectTo, get, setUp } from '../../../mesh-gateway/egress/setup.ts'
import { waitFor, waitUntilStill } from '../../../support/wait-for.ts'
import { fixedTokens, type RelayWorld, startRelay, statusOf } from './relay-world.ts'

const OPENED = 'HTTP/1.1 200 Connection established\r\n\r\n'

describe('a relay and its gateway', () => {
  const setup = setUp()
  afterEach(() => setup.close())

  /** @param serve gets the head of each request that arrives, and its connection */
  async function gateway(serve: (head: string, socket: Socket) => void) {
    const upstream = await setup.upstream((socket) => {
      let text = ''
      const onData = (chunk: Buffer) => {
        text += chunk.toString('latin1')
        const end = text.indexOf('\r\n\r\n')
        if (end === -1) return
        socket.off('data', onData)
        socket.pause()
        const rest = Buffer.from(text.slice(end + 4), 'latin1')
        if (rest.length > 0) socket.unshift(rest)
        serve(text.slice(0, end + 4), socket)
      }
      socket.on('data', onData)
    })
    return upstream
  }

  /** Closed with the test. */
  async function clientOf(port: number): Promise<RawClient> {
    const client = await rawClient(port)
    setup.closing.push(async () => void client.socket.destroy())
    return client
  }

  async function relayBefore(port: number, options: object = {}): Promise<RelayWorld> {
    const world = await startRelay({ gateway: port, ...options })
    setup.closing.push(world.close)
    return world
  }

  it('holds a bounded number of connections: one without the secret makes room, one that works does not', async () => {
    const arrived: Socket[] = []
    const upstream = await gateway((_head, socket) => void arrived.push(socket))
    const { port, credential, logged } = await relayBefore(upstream.port, { maxConnections: 3 })
    // what says nothing, and what has said half a head
    const idle = [await clientOf(port), await clientOf(port)]
    idle[1]?.socket.write('GET http://a.example/ HTTP/1.1\r\n')
    const working = [await clientOf(port)]
    working[0]?.socket.write(get(80, credential))
    await waitFor('the first request', () => arrived.length === 1)
    for (const stranger of idle) {
      const next = await clientOf(port)
      next.socket.write(get(80, credential))
      working.push(next)
      assert.equal(await stranger.rest(), '')
    }
    await waitFor('all requests', () => arrived.length === 3)
    const refused = [await sendRaw(port, get(80, credential)), await sendRaw(port, get(80, ''))]
    for (const answer of refused) {
      assert.equal(statusOf(answer), 429)
      assert.equal(refusalOf(answer).code, 'MESH_LIMIT_CONCURRENCY')
    }
    assert.equal(logged().match(/the relay refused a connection/g)?.length, 2)
    assert.equal(arrived.length, 3)
    for (const socket of arrived) socket.end('HTTP/1.1 204 No Content\r\n\r\n')
    for (const client of working) {
      assert.equal(statusOf(await client.rest()), 204)
      client.socket.destroy()
    }
    for (const socket of arrived) if (!socket.closed) await once(socket, 'close')
    const last = await clientOf(port)
    last.socket.write(get(80, credential))
    await waitFor('a request again', () => arrived.length === 4)
  })

  for (const answer of [
    'HTTP/1.1 407 MESH_TOKEN_MISSING no egress token was presented; send one\r\nProxy-Authenticate: Bearer realm="clawmesh"\r\ncontent-length: 2\r\n\r\n{}',
    'HTTP/1.1 403 MESH_POLICY_NOT_ALLOWED no rule\r\nx-mesh-refusal: MESH_POLICY_NOT_ALLOWED\r\ncontent-length: 3\r\n\r\nno\n',
    'HTTP/1.1 508 MESH_EGRESS_LOOP it went round\r\nx-mesh-refusal: MESH_EGRESS_LOOP\r\ncontent-length: 0\r\n\r\n',
    'HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n\r\nwait',
    'HTTP/1.1 403 Forbidden\r\n\r\nby a destination, that says MESH_TOKEN_EXPIRED',
    'HTTP/1.1 403',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n',
    '\0\u00ff not HTTP at all',
  ])
    it(`passes on byte for byte: ${JSON.stringify(answer.slice(0, 40))}`, async () => {
      const { port } = await gateway((_, socket) => socket.end(answer, 'latin1'))
      const { port: relay, credential } = await relayBefore(port)
      for (const request of [connectTo(443, credential), get(80, credential)])
        assert.equal(await sendRaw(relay, request), answer)
    })

  it('a request goes on as it came, byte for byte, but for its credential', async () => {
    const heads: string[] = []
    const { port } = await gateway((head, socket) => {
      heads.push(head)
      socket.end('HTTP/1.1 204 No Content\r\n\r\n')
    })
    const { port: relay, credential, secret } = await relayBefore(port)
    const before1 =
      'GET http://api.test/?q=\u00fc HTTP/1.1\r\nhOsT:   api.test\r\nX-Odd:\t \u00e9 \r\n'
    const after = 'Content-Length: 5\r\nContent-Length: 6\r\n'
    await sendRaw(relay, Buffer.from(`${before1}${credential}${after}\r\n`, 'latin1'))
    assert.deepEqual(heads, [
      `${before1}${after}proxy-authorization: Bearer a-token\r\nconnection: close\r\n\r\n`,
    ])
    assert.equal(heads.join().includes(secret), false)
  })

  it('a head that could hide a credential is refused, and nothing of it leaves', async () => {
    let dialled = 0
    const { port } = await gateway(() => {
      dialled += 1
    })
    const { port: relay, credential } = await relayBefore(port)
    const start = 'GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\n'
    for (const head of [
      `${start}${credential}X: a\r\n folded\r\n\r\n`,
      `${start}X: a\nProxy-Authorization: Basic eDp5\r\n${credential}\r\n`,
      `${start}X: a\rProxy-Authorization: Basic eDp5\r\n${credential}\r\n`,
      `${start}${credential}${credential}\r\n`,
      `${start}${credential}Proxy-Authorization : Basic eDp5\r\n\r\n`,
      `${start}${credential}X: \0\r\n\r\n`,
      `GET  http://api.test/ HTTP/1.1\r\n${credential}\r\n`,
      `GET http://api.test/ HTTP/1.1 \r\n${credential}\r\n`,
      `GET http://api.test/ HTTP/2.0\r\n${credential}\r\n`,
      `GET / HTTP/1.1\r\nHost: api.test\r\n${credential}\r\n`,
    ]) {
      const answer = await sendRaw(relay, Buffer.from(head, 'latin1'))
      assert.equal(statusOf(answer), 400, JSON.stringify(head))
      assert.equal(refusalOf(answer).code, 'MESH_EGRESS_MALFORMED')
    }
    const large = await sendRaw(relay, `${start}${credential}X: ${'y'.repeat(17_000)}`)
    assert.equal(refusalOf(large).code, 'MESH_EGRESS_HEAD_TOO_LARGE')
    assert.equal(dialled, 0)
  })

  it('a head may come byte by byte', async () => {
    const { port } = await gateway((_, socket) => socket.end('HTTP/1.1 204 No Content\r\n\r\n'))
    const { port: relay, credential } = await relayBefore(port)
    const client = await clientOf(relay)
    client.socket.setNoDelay(true)
    for (const byte of `\r\n${get(80, credential)}`) {
      client.send(byte)
      await new Promise(setImmediate)
    }
    assert.match(await client.rest(), /^HTTP\/1\.1 204 /)
  })

  it('half-closes go both ways, and the other half goes on', async () => {
    const { port } = await gateway((_, socket) => {
      socket.write(OPENED)
      let heard = ''
      socket.on('data', (chunk) => {
        heard += chunk.toString('latin1')
      })
      // it speaks after the client has ended
      socket.on('end', () => socket.end(`heard ${heard}`))
      socket.resume()
    })
    const { port: relay, credential } = await relayBefore(port)
    const client = await clientOf(relay)
    client.send(connectTo(443, credential))
    await client.until((text) => text === OPENED)
    client.socket.end('my last words')
    assert.equal(await client.rest(), `${OPENED}heard my last words`)

    const other = await gateway((_, socket) => {
      socket.end(`${OPENED}bye`)
      let heard = 0
      socket.on('data', (chunk) => {
        heard += chunk.length
        if (heard === 500_000) socket.emit('heard all')
      })
      socket.resume()
    })
    const second = await relayBefore(other.port)
    const speaker = await clientOf(second.port)
    speaker.send(connectTo(443, second.credential))
    assert.equal(await speaker.rest(), `${OPENED}bye`)
    const [socket] = other.connections
    assert.ok(socket)
    const heard = once(socket, 'heard all')
    speaker.socket.end(Buffer.alloc(500_000))
    await heard
  })

  it('an answer that was cut short does not look whole', async () => {
    const { port } = await gateway((_, socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\npart')
      socket.once('resume', () => {})
      setImmediate(() => socket.resetAndDestroy())
    })
    const { port: relay, credential } = await relayBefore(port)
    const client = connect(relay, '127.0.0.1')
    client.write(get(80, credential))
    client.resume()
    const [error] = await once(client, 'error')
    assert.match(String(error), /ECONNRESET/)
  })

  it('a client that goes away takes its connection to the gateway with it', async () => {
    const { port, connections } = await gateway((_, socket) => {
      socket.write(OPENED)
      socket.resume()
    })
    const { port: relay, credential } = await relayBefore(port)
    const client = await clientOf(relay)
    client.send(connectTo(443, credential))
    await client.until((text) => text === OPENED)
    client.socket.resetAndDestroy()
    await waitFor(
      'the end',
      () => connections[0]?.destroyed === true || connections[0]?.readableEnded,
    )
  })

  it('a slow reader slows its sender, in both directions', async () => {
    let sent = 0
    const flood = (socket: Socket) => {
      const piece = Buffer.alloc(65_536)
      const more = () => {
        do sent += piece.length
        while (socket.write(piece))
      }
      socket.on('drain', more)
      more()
    }
    const down = await gateway((_, socket) => {
      socket.write(OPENED)
      flood(socket)
    })
    const { port: relay, credential } = await relayBefore(down.port)
    const reader = connect(relay, '127.0.0.1')
    reader.write(connectTo(443, credential))
    await once(reader, 'readable')
    const downStill = await waitUntilStill('the gateway to stop', () => sent)
    assert.ok(downStill < 64 * 1024 * 1024, `${downStill} bytes`)
    reader.destroy()

    sent = 0
    const up = await gateway((_, socket) => socket.write(OPENED))
    const second = await relayBefore(up.port)
    const writer = connect(second.port, '127.0.0.1')
    writer.on('error', () => {})
    writer.write(connectTo(443, second.credential))
    await once(writer, 'data')
    flood(writer)
    const upStill = await waitUntilStill('the client to stop', () => sent)
    assert.ok(upStill < 64 * 1024 * 1024, `${upStill} bytes`)
    writer.destroy()
  })

  it('a gateway that is away is 502 with a code, and used again without a restart when it is back', async () => {
    const [port = 0] = await freePorts(1)
    const world = await relayBefore(port)
    const refused = await sendRaw(world.port, connectTo(443, world.credential))
    assert.match(
      refused,
      /^HTTP\/1\.1 502 MESH_GATEWAY_UNREACHABLE the egress port cannot be reached: connect ECONNREFUSED/,
    )
    assert.equal(refusalOf(refused).gate, 'relay')
    const absolute = await sendRaw(world.port, get(80, world.credential))
    assert.match(absolute, /^HTTP\/1\.1 502 Bad Gateway\r\n/)
    assert.equal(refusalOf(absolute).code, 'MESH_GATEWAY_UNREACHABLE')
    assert.equal(world.logged().match(/the relay cannot serve/g)?.length, 1)
    const server = createServer((socket) => socket.resume().end('HTTP/1.1 204 No Content\r\n\r\n'))
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    assert.match(await sendRaw(world.port, get(80, world.credential)), /^HTTP\/1\.1 204 /)
    assert.match(world.logged(), /the gateway answers the relay again/)
    server.close()
    await once(server, 'close')
  })

  it('a gateway that ends a CONNECT without an answer is asked once more; another request is not sent twice', async () => {
    let asked = 0
    const { port } = await gateway((_, socket) => {
      asked += 1
      if (asked === 1) socket.destroy()
      else socket.end(`${OPENED}fine`)
    })
    const { port: relay, credential } = await relayBefore(port)
    assert.equal(await sendRaw(relay, connectTo(443, credential)), `${OPENED}fine`)
    assert.equal(asked, 2)
    asked = 0
    const answer = await sendRaw(relay, get(80, credential, '/', 'POST'))
    assert.equal(refusalOf(answer).code, 'MESH_GATEWAY_UNREACHABLE')
    assert.equal(asked, 1)
  })

  for (const code of ['EXPIRED', 'REVOKED', 'SIGNATURE', 'BINDING', 'KEY_UNKNOWN']) {
    const refusal = `HTTP/1.1 403 MESH_TOKEN_${code} no\r\nx-mesh-refusal: MESH_TOKEN_${code}\r\ncontent-length: 5\r\n\r\nno no`
    it(`MESH_TOKEN_${code} costs one more attempt with a fresh token, and no second one`, async () => {
      const shown: string[] = []
      const { port } = await gateway((head, socket) => {
        const [, token = ''] = /Bearer (\S+)/.exec(head) ?? []
        shown.push(token)
        socket.end(token === 'good' ? `${OPENED}fine` : refusal)
      })
      const { port: relay, credential } = await relayBefore(port, {
        tokens: fixedTokens('bad', 'good'),
      })
      assert.equal(await sendRaw(relay, connectTo(443, credential)), `${OPENED}fine`)
      assert.deepEqual(shown, ['bad', 'good'])
      const worse = await relayBefore(port, { tokens: fixedTokens('bad', 'bad too', 'good') })
      assert.equal(await sendRaw(worse.port, connectTo(443, worse.credential)), refusal)
      const last = await relayBefore(port, { tokens: fixedTokens('bad') })
      assert.equal(await sendRaw(last.port, connectTo(443, last.credential)), refusal)
    })
  }

  it('a body that was sent on before the refusal is sent again, unless it is too large to keep', async () => {
    const bodies: number[] = []
    const { port } = await gateway((head, socket) => {
      if (!head.includes('Bearer good'))
        return socket.end('HTTP/1.1 403 no\r\nx-mesh-refusal: MESH_TOKEN_EXPIRED\r\n\r\n')
      let length = 0
      socket.on('data', (chunk) => {
        length += chunk.length
      })
      socket.on('end', () => {
        bodies.push(length)
        socket.end('HTTP/1.1 204 No Content\r\n\r\n')
      })
      return socket.resume()
    })
    const { port: relay, credential } = await relayBefore(port, {
      tokens: fixedTokens('bad', 'good'),
    })
    const client = await clientOf(relay)
    client.send(get(80, `${credential}Content-Length: 50000\r\n`, '/', 'POST'))
    client.socket.end(Buffer.alloc(50_000))
    assert.match(await client.rest(), /^HTTP\/1\.1 204 /)
    assert.deepEqual(bodies, [50_000])
  })

  it('a thousand idle tunnels, and the first and the last carry what is sent', async () => {
    const { port } = await gateway((_, socket) => {
      socket.write(OPENED)
      socket.pipe(socket)
    })
    const { port: relay, credential } = await relayBefore(port)
    const sockets: Socket[] = []
    const open = async () => {
      const socket = connect(relay, '127.0.0.1')
      sockets.push(socket)
      socket.write(connectTo(443, credential))
      const [data] = await once(socket, 'data')
      assert.equal(String(data), OPENED)
    }
    while (sockets.length < 1_000) await Promise.all(Array.from({ length: 50 }, open))
    for (const socket of [sockets[0], sockets.at(-1)]) {
      socket?.write('ping')
      const [data] = socket === undefined ? [] : await once(socket, 'data')
      assert.equal(String(data), 'ping')
    }
    for (const socket of sockets) socket.destroy()
  })

  it('who says nothing is closed, and who is slow is told so', async () => {
    const { port: relay, credential } = await relayBefore(1, { headMs: 50 })
    assert.equal(await (await clientOf(relay)).rest(), '')
    const slow = await clientOf(relay)
    slow.send(`CONNECT api.test:443 HTTP/1.1\r\n${credential}`)
    assert.match(await slow.rest(), /^HTTP\/1\.1 408 /)
  })

  it('while it drains the port is free, what is idle is closed, and an open tunnel goes on to its end', async () => {
    const { port } = await gateway((_, socket) => {
      socket.write(OPENED)
      socket.pipe(socket)
    })
    const world = await relayBefore(port)
    const tunnel = await clientOf(world.port)
    tunnel.send(connectTo(443, world.credential))
    await tunnel.until((text) => text === OPENED)
    const idle = await clientOf(world.port)
    const drained = world.relay.drain(60_000)
    assert.equal(await idle.rest(), '')
    const next = createServer()
    next.listen(world.port, '127.0.0.1')
    await once(next, 'listening')
    next.close()
    tunnel.socket.end('still here')
    assert.equal(await tunnel.rest(), `${OPENED}still here`)
    await drained
  })
})
