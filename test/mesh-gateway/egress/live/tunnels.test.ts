/** CONNECT: what flows, what ends it, and what never begins. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { captureHello, withExtension } from '../capture-hello.ts'
import { rawClient, refusalOf, sendRaw } from '../fixture.ts'
import { basic, connectTo, setUp } from '../setup.ts'

const ESTABLISHED = 'HTTP/1.1 200 Connection established\r\n'

function echo(socket: Socket): void {
  socket.on('data', (data: Buffer) => {
    if (!socket.write(data)) socket.pause()
  })
  socket.on('drain', () => socket.resume())
  socket.on('end', () => socket.end())
}

describe('a tunnel', () => {
  const setup = setUp()
  afterEach(setup.close)

  /** An egress port, a tunnel to `serve` on any port, and the client in it. */
  async function open(serve: (socket: Socket) => void, egressLimits: object = {}, port = {}) {
    const upstream = await setup.upstream(serve)
    const egress = await setup.egress(upstream.port, { egress: { limits: egressLimits }, port })
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const client = await rawClient(egress.number)
    setup.closing.push(async () => void client.socket.destroy())
    return { upstream, egress, auth, client, number: upstream.port }
  }

  it('carries bytes both ways, early ones too, and half-closes', async () => {
    const { egress, auth, client, number } = await open(echo)
    client.send(`${connectTo(number, auth)}early`)
    await client.until((text) => text.endsWith('early'))
    client.send(' late')
    await client.until((text) => text.endsWith('early late'))
    client.socket.end()
    const text = await client.rest()
    assert.ok(text.startsWith(ESTABLISHED))
    const record = await egress.record(0)
    assert.equal(record.method, 'CONNECT')
    assert.equal(record.path, null)
    assert.equal(record.status, 200)
    assert.equal(record.reason, null)
    assert.equal(record.bytes_up, 10)
    assert.equal(record.bytes_down, 10)
    assert.equal(egress.records.length, 1)
  })

  it('lets the side that has not ended go on', async () => {
    const { auth, client, number } = await open((socket) => {
      socket.resume().on('end', () => {
        socket.write('still ')
        setImmediate(() => socket.end('talking'))
      })
    })
    client.send(connectTo(number, auth))
    await client.until((text) => text.includes('\r\n\r\n'))
    client.socket.end('done')
    assert.match(await client.rest(), /still talking$/)
  })

  it('answers a client that has said all before the tunnel was open', async () => {
    const upstream = await setup.upstream((socket) => {
      socket.on('data', (data: Buffer) => socket.write(`${data} was heard, `))
      socket.on('end', () => setImmediate(() => socket.end('and its end too')))
    })
    const resolved = Promise.withResolvers<void>()
    const resolver = {
      addresses: () => resolved.promise.then(() => [{ ip: '127.0.0.1', ttlMs: 1000 }]),
      services: () => Promise.resolve([]),
      close() {},
    }
    const egress = await setup.egress(upstream.port, { port: { resolver } })
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const client = await rawClient(egress.number)
    client.socket.end(`${connectTo(upstream.port, auth)}early`)
    // what was sent before it is there when it is answered
    await sendRaw(
      egress.number,
      'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    )
    resolved.resolve()
    assert.match(await client.rest(), /\r\n\r\nearly was heard, and its end too$/)
    const record = await egress.record(0)
    assert.deepEqual([record.bytes_up, record.bytes_down, record.reason], [5, 32, null])
  })

  it('opens for HTTP/1.0 without a Host header, as older Pythons ask', async () => {
    const { auth, client, number } = await open(echo)
    client.send(`CONNECT api.test:${number} HTTP/1.0\r\n${auth}\r\nhello`)
    await client.until((text) => text.endsWith('hello'))
    client.socket.destroy()
  })

  it('carries 64 MiB each way at once, intact, past a reader that is slow to begin', async () => {
    const { egress, auth, client, number } = await open(echo)
    client.socket.removeAllListeners('data')
    client.send(connectTo(number, auth))
    const [head]: Buffer[] = await once(client.socket, 'data')
    assert.ok(head?.toString().startsWith(ESTABLISHED))
    const piece = randomBytes(1 << 20)
    // not by chance what a request or a ClientHello begins with, which would be judged
    piece[0] = 0
    const sent = createHash('sha256')
    const got = createHash('sha256')
    client.socket.pause()
    const ended = once(client.socket, 'end')
    let received = 0
    for (let index = 0; index < 64; index += 1) {
      sent.update(piece)
      client.socket.write(piece)
      if (index === 8) {
        client.socket.resume()
        client.socket.on('data', (data: Buffer) => {
          received += data.length
          got.update(data)
        })
      }
      if (index > 8 && client.socket.writableNeedDrain) await once(client.socket, 'drain')
    }
    client.socket.end()
    await ended
    assert.equal(received, 64 << 20)
    assert.equal(got.digest('hex'), sent.digest('hex'))
    assert.equal((await egress.record(0)).bytes_up, 64 << 20)
  })

  it('passes a reset on as a reset, in either direction', async () => {
    const { egress, auth, client, number } = await open((socket) =>
      socket.once('data', () => socket.resetAndDestroy()),
    )
    client.send(`${connectTo(number, auth)}x`)
    const [error] = await once(client.socket, 'error')
    assert.equal(Reflect.get(Object(error), 'code'), 'ECONNRESET')
    assert.equal((await egress.record(0)).reason, 'MESH_EGRESS_LOST')

    const second = await open((socket) => {
      socket.resume()
      socket.write('hi')
    })
    second.client.send(connectTo(second.number, second.auth))
    await second.client.until((text) => text.endsWith('hi'))
    const gone = once(second.upstream.connections[0] ?? second.client.socket, 'error')
    second.client.socket.resetAndDestroy()
    assert.equal(Reflect.get(Object((await gone)[0]), 'code'), 'ECONNRESET')
    assert.equal((await second.egress.record(0)).reason, 'MESH_CALL_CANCELED')
  })

  it('is refused in the status line, with the code and one printable line', async () => {
    const { egress, number } = await open(echo)
    const answer = await sendRaw(egress.number, connectTo(number, ''))
    assert.match(
      answer,
      /^HTTP\/1\.1 407 MESH_TOKEN_MISSING no egress token was presented; [\x20-\x7e]{1,200}\r\n/,
    )
    const auth = basic(await egress.token({ destinations: ['x.test'] }))
    const refused = await sendRaw(egress.number, connectTo(443, auth, 'evil.test'))
    assert.match(refused, /^HTTP\/1\.1 403 MESH_POLICY_NOT_ALLOWED [^\r\n]+\r\n/)
    assert.match(refused, /"hint":"add [^\r\n]*evil\.test/)
    assert.deepEqual(egress.asked, [])
  })

  it('is not opened for a dead destination, and says so', async () => {
    const { egress, auth, number, upstream } = await open(echo)
    await upstream.close()
    const answer = await sendRaw(egress.number, connectTo(number, auth))
    assert.match(answer, /^HTTP\/1\.1 502 MESH_EGRESS_UNREACHABLE /)
  })

  it('leads TLS to the host of CONNECT only, and answers another name with an alert', async () => {
    const reached: Buffer[] = []
    const { egress, auth, client, number } = await open((socket) => {
      socket.on('data', (data: Buffer) => reached.push(data))
      socket.on('end', () => socket.end())
    })
    const hello = await captureHello({ servername: 'evil.test' })
    client.send(connectTo(number, auth))
    await client.until((text) => text.includes('\r\n\r\n'))
    for (let at = 0; at < hello.length; at += 50) client.send(hello.subarray(at, at + 50))
    await client.rest()
    assert.deepEqual(client.received().subarray(-7), Buffer.from([0x15, 3, 3, 0, 2, 2, 49]))
    client.socket.destroy()
    assert.equal(reached.length, 0)
    const record = await egress.record(0)
    assert.equal(record.reason, 'MESH_EGRESS_SNI_MISMATCH')
    assert.equal(record.action_allowed, false)
    assert.equal(record.bytes_up, 0)
  })

  it('passes a ClientHello that names the host on whole, though it came in pieces', async () => {
    const { auth, client, number } = await open(echo)
    const hello = await captureHello({ servername: 'api.test' })
    client.send(connectTo(number, auth))
    const head = await client.until((text) => text.includes('\r\n\r\n'))
    for (let at = 0; at < hello.length; at += 20) client.send(hello.subarray(at, at + 20))
    await client.until((text) => text.length === head.length + hello.length)
    assert.deepEqual(client.received().subarray(head.length), hello)
    client.socket.destroy()
  })

  it('carries no ECH where policy refuses it, and the record says that', async () => {
    const reached: Buffer[] = []
    const { egress, auth, client, number } = await open((socket) => {
      socket.on('data', (data: Buffer) => reached.push(data))
      socket.on('end', () => socket.end())
    })
    egress.setPolicy({ allow: [`api.test:${number}`] }, { ports: [number], tls: { ech: 'refuse' } })
    client.send(connectTo(number, auth))
    await client.until((text) => text.includes('\r\n\r\n'))
    client.send(withExtension(await captureHello({ servername: 'api.test' }), 0xfe0d))
    await client.rest()
    assert.deepEqual(client.received().subarray(-7), Buffer.from([0x15, 3, 3, 0, 2, 2, 49]))
    client.socket.destroy()
    const record = await egress.record(0)
    assert.equal(record.reason, 'MESH_EGRESS_ECH')
    assert.equal(record.action_allowed, false)
    assert.equal(reached.length, 0)
  })

  it('does not lead to a name behind which providers hide others, unless policy says so', async () => {
    const { egress, number } = await open(echo)
    const host = 'cloudflare-ech.com'
    const allow = ['*.com', `${host}:${number}`, host]
    const ports = [80, 443, number]
    const auth = basic(await egress.token({ destinations: [`${host}:${number}`, host] }))
    const ask = async () => await sendRaw(egress.number, connectTo(number, auth, host))
    egress.setPolicy({ allow }, { ports })
    const answer = await ask()
    assert.match(
      answer,
      /^HTTP\/1\.1 403 MESH_EGRESS_ECH [^\r\n]+list it in egress\.tls\.echOuterNames/,
    )
    assert.equal(refusalOf(answer).gate, 'tls')
    assert.deepEqual(egress.asked, [], 'nothing was looked up')
    assert.equal((await egress.record(0)).action_allowed, false)
    // let through, it does not resolve here, and that is asked for
    for (const tls of [{ echOuterNames: [host] }, { ech: 'refuse' }]) {
      egress.setPolicy({ allow }, { ports, tls })
      assert.match(await ask(), /^HTTP\/1\.1 502 MESH_EGRESS_UNRESOLVED /)
    }
    // in absolute form the gateway sees where it leads
    egress.setPolicy({ allow }, { ports })
    const plain = `GET http://${host}:${number}/ HTTP/1.1\r\nHost: ${host}:${number}\r\nConnection: close\r\n${auth}\r\n`
    assert.match(await sendRaw(egress.number, plain), /^HTTP\/1\.1 502 /)
  })

  it('lets a server speak first where TLS is not required', async () => {
    const { auth, client, number } = await open((socket) => {
      socket.write('220 ready\r\n')
      echo(socket)
    })
    client.send(connectTo(number, auth))
    await client.until((text) => text.endsWith('220 ready\r\n'))
    client.send('EHLO\r\n')
    await client.until((text) => text.endsWith('EHLO\r\n'))
    client.socket.destroy()
  })

  it('ends when a ClientHello does not come to its end in time', async () => {
    const { egress, auth, client, number } = await open(echo, {}, { timeouts: { helloMs: 50 } })
    client.send(connectTo(number, auth))
    await client.until((text) => text.includes('\r\n\r\n'))
    client.send(Buffer.from([0x16, 3, 1]))
    await client.rest()
    client.socket.destroy()
    assert.equal((await egress.record(0)).reason, 'MESH_EGRESS_NOT_TLS')
  })

  it('ends when nothing has moved for long, and the record says so', async () => {
    const { egress, auth, client, number } = await open(
      echo,
      {},
      { timeouts: { idleMs: 60, answerMs: 60 } },
    )
    client.send(`${connectTo(number, auth)}x`)
    await client.rest()
    assert.equal((await egress.record(0)).reason, 'MESH_EGRESS_IDLE')
  })

  it('ends when its token expires', async () => {
    let skewMs = 0
    const { egress, auth, client, number } = await open(
      echo,
      {},
      { now: () => Date.now() + skewMs },
    )
    skewMs = 15 * 60_000 - 1_100
    client.send(`${connectTo(number, auth)}x`)
    await client.rest()
    assert.equal((await egress.record(0)).reason, 'MESH_TOKEN_EXPIRED')
  })

  it('ends within a moment when policy no longer allows it, and others stay', async () => {
    const { egress, auth, client, number } = await open(echo)
    client.send(`${connectTo(number, auth)}x`)
    await client.until((text) => text.endsWith('x'))
    egress.setPolicy({ allow: [`api.test:${number}`] }, { ports: [number] })
    client.send('y')
    await client.until((text) => text.endsWith('xy'))
    egress.setPolicy({ allow: [] }, { ports: [number] })
    await client.rest()
    assert.equal((await egress.record(0)).reason, 'MESH_POLICY_NOT_ALLOWED')
  })

  it('ends when the address rules no longer allow where it leads', async () => {
    const { egress, auth, client, number } = await open(echo)
    client.send(`${connectTo(number, auth)}x`)
    await client.until((text) => text.endsWith('x'))
    egress.setPolicy(
      { allow: [`api.test:${number}`] },
      { ports: [number], denyCidrs: ['127.0.0.1/32'] },
    )
    await client.rest()
    assert.equal((await egress.record(0)).reason, 'MESH_EGRESS_ADDRESS_REFUSED')
  })

  it('ends when whoever revokes says so', async () => {
    const { egress, auth, client, number } = await open(echo)
    client.send(`${connectTo(number, auth)}x`)
    await client.until((text) => text.endsWith('x'))
    const ended = egress.port.endTunnels(({ agent }) =>
      agent.agent === 'bot-01' ? 'MESH_TOKEN_REVOKED' : null,
    )
    assert.equal(ended, 1)
    await client.rest()
    assert.equal((await egress.record(0)).reason, 'MESH_TOKEN_REVOKED')
  })

  it('is one of so many at once, and makes room when it ends', async () => {
    const { egress, auth, client, number } = await open(echo, { concurrentTunnels: 1 })
    client.send(`${connectTo(number, auth)}x`)
    await client.until((text) => text.endsWith('x'))
    const answer = await sendRaw(egress.number, connectTo(number, auth))
    assert.match(answer, /^HTTP\/1\.1 429 MESH_LIMIT_CONCURRENCY /)
    client.socket.end()
    await egress.record(1)
    const again = await rawClient(egress.number)
    again.send(`${connectTo(number, auth)}z`)
    await again.until((text) => text.endsWith('z'))
    again.socket.destroy()
  })

  it('may run to its end in a drain, while new ones are refused or find nobody', async () => {
    const { egress, auth, client, number } = await open(echo)
    client.send(`${connectTo(number, auth)}x`)
    await client.until((text) => text.endsWith('x'))
    const waiting = await rawClient(egress.number)
    waiting.send('CONNECT api.test:443 HTT')
    // what comes back from the tunnel was read after what was sent before
    client.send('-')
    await client.until((text) => text.endsWith('x-'))
    const drained = egress.port.drain(10_000)
    waiting.send('P/1.1\r\nHost: api.test:443\r\n\r\n')
    assert.match(await waiting.rest(), /^HTTP\/1\.1 503 [\s\S]*MESH_GATEWAY_DRAINING/)
    waiting.socket.destroy()
    client.send('y')
    await client.until((text) => text.endsWith('x-y'))
    client.socket.end()
    await drained
    assert.equal((await egress.record(1)).reason, null)
  })

  it('is ended by a drain that has waited long enough', async () => {
    const { egress, auth, client, number } = await open(echo)
    client.send(`${connectTo(number, auth)}x`)
    await client.until((text) => text.endsWith('x'))
    await egress.port.drain(30)
    await client.rest()
    assert.equal((await egress.record(0)).reason, 'MESH_GATEWAY_DRAINING')
  })
})
