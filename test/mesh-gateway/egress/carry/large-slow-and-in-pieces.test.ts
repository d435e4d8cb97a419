/** What is large, slow or cut into pieces arrives whole, in each form; and what a tunnel to a TLS port begins with is judged first. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type RequestListener } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeTestCa, type TestCa } from '../../../support/test-ca.ts'
import { waitUntilStill } from '../../../support/wait-for.ts'
import { captureHello } from '../capture-hello.ts'
import { rawClient } from '../fixture.ts'
import { basic, connectTo, setUp } from '../setup.ts'

const HOST = 'planner.acme.mesh.internal'
const SIZE = 64 << 20

describe('what is large and read slowly', () => {
  const setup = setUp()
  let ca: TestCa
  before(async () => {
    ca = await makeTestCa()
  })
  after(() => ca.close())
  afterEach(setup.close)

  for (const form of ['absolute', 'relay'] as const)
    for (const framing of ['length', 'chunks'] as const)
      it(`arrives whole both ways in ${form} form, 64 MiB in ${framing}, and waits for its reader`, async function () {
        this.timeout(120_000)
        const echo: RequestListener = (request, response) => {
          if (framing === 'length') response.setHeader('content-length', SIZE)
          request.pipe(response)
        }
        const { port } = form === 'relay' ? await setup.https(echo, ca) : await setup.http(echo)
        const egress = await setup.egress(port, {
          names: { [HOST]: ['127.0.0.1'] },
          ca: ca.ca.info.root.pem,
          egress: { allow: [`${HOST}:${port}`] },
        })
        const token = await egress.token({ destinations: [`${HOST}:${port}`] })
        const request = httpRequest({
          host: '127.0.0.1',
          port: egress.number,
          method: 'POST',
          path: form === 'relay' ? '/echo' : `http://${HOST}:${port}/echo`,
          headers: {
            host: `${HOST}:${port}`,
            'proxy-authorization': `Bearer ${token}`,
            ...(framing === 'length' ? { 'content-length': SIZE } : {}),
          },
        })
        const sent = createHash('sha256')
        const got = createHash('sha256')
        let received = 0
        const send = async () => {
          const piece = randomBytes(1 << 20)
          for (let left = SIZE; left > 0; left -= piece.length) {
            sent.update(piece)
            if (!request.write(piece)) await once(request, 'drain')
          }
          request.end()
        }
        const read = async () => {
          const [response]: IncomingMessage[] = await once(request, 'response')
          assert.ok(response)
          assert.equal(response.statusCode, 200)
          let pauses = 0
          for await (const chunk of response) {
            got.update(chunk)
            received += chunk.length
            // a reader that stops for a moment, again and again: waiting is what is tested here
            if (received > pauses * (SIZE / 8)) {
              pauses += 1
              await sleep(60)
            }
          }
        }
        await Promise.all([send(), read()])
        assert.equal(received, SIZE)
        assert.equal(got.digest('hex'), sent.digest('hex'))
        const record = await egress.record(0)
        assert.deepEqual([record.bytes_up, record.bytes_down, record.reason], [SIZE, SIZE, null])
      })
})

describe('who sends faster than the other side reads', () => {
  const setup = setUp()
  afterEach(setup.close)
  const TRIED = 256 << 20
  /** What the kernel holds on both hops, and what the gateway may: far below what is tried. */
  const BOUND = 64 << 20

  /** Writes all of it as far as it is taken, and resolves with how much that was once nothing moves any more. */
  async function push(socket: Socket): Promise<number> {
    const piece = Buffer.alloc(1 << 20)
    let left = TRIED
    const more = () => {
      while (left > 0 && !socket.destroyed) {
        left -= piece.length
        if (!socket.write(piece)) return
      }
    }
    socket.on('drain', more)
    more()
    return waitUntilStill('what is taken', () => socket.bytesWritten - socket.writableLength)
  }

  for (const form of ['connect', 'absolute', 'relay'] as const)
    for (const way of ['down', 'up'] as const)
      it(`is held back, ${way} in ${form} form: it does not gather in the gateway`, async function () {
        this.timeout(120_000)
        const arrived = Promise.withResolvers<Socket>()
        const upstream = await setup.upstream((socket) => {
          socket.once('data', () => {
            socket.pause()
            arrived.resolve(socket)
          })
        })
        const host = `api.test:${upstream.port}`
        const egress = await setup.egress(upstream.port, {
          egress: { allow: [{ host, scheme: 'http' }] },
        })
        const auth = basic(await egress.token({ destinations: [host] }))
        const client = await rawClient(egress.number)
        client.socket.removeAllListeners('data')
        client.socket.pause()
        const target = form === 'absolute' ? `http://${host}/` : '/'
        const body = way === 'up' ? `Content-Length: ${TRIED}\r\n` : ''
        client.send(
          form === 'connect'
            ? `${connectTo(upstream.port, auth)}x`
            : `POST ${target} HTTP/1.1\r\nHost: ${host}\r\n${auth}${body}\r\n`,
        )
        const other = await arrived.promise
        if (way === 'down' && form !== 'connect')
          other.write(`HTTP/1.1 200 OK\r\nContent-Length: ${TRIED}\r\n\r\n`)
        const taken = await push(way === 'down' ? other : client.socket)
        assert.ok(taken < BOUND, `${taken} bytes were taken`)
        client.socket.destroy()
      })
})

describe('a tunnel to a port where only TLS passes', () => {
  const setup = setUp()
  afterEach(setup.close)

  async function open(tls: object = {}, helloMs = 2_000, speakFirst = false) {
    const reached: Buffer[] = []
    const upstream = await setup.upstream((socket: Socket) => {
      if (speakFirst) socket.write('220 hello\r\n')
      socket.on('data', (data: Buffer) => {
        reached.push(data)
        socket.write('answer')
      })
      socket.on('end', () => socket.end())
    })
    const egress = await setup.egress(upstream.port, {
      global: { tls: { ports: [upstream.port], ...tls } },
      port: { timeouts: { helloMs } },
    })
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const client = await rawClient(egress.number)
    client.socket.setNoDelay(true)
    client.send(connectTo(upstream.port, auth))
    await client.until((text) => text.endsWith('\r\n\r\n'))
    return { reached, egress, client, auth, port: upstream.port }
  }

  it('passes a ClientHello that comes byte by byte on, whole and unchanged', async function () {
    this.timeout(60_000)
    const { reached, client } = await open({}, 15_000)
    const hello = await captureHello({ servername: 'api.test' })
    for (const byte of hello) {
      assert.deepEqual(reached, [])
      client.send(Buffer.of(byte))
      await new Promise(setImmediate)
    }
    await client.until((text) => text.endsWith('answer'))
    assert.deepEqual(Buffer.concat(reached), hello)
    client.socket.destroy()
  })

  it('gives the bytes no more time for coming one by one', async () => {
    const hello = await captureHello({ servername: 'api.test' })
    const { reached, client, egress } = await open({}, 150)
    let over = false
    const rest = client.rest().then((text) => {
      over = true
      return text
    })
    for (let at = 0; !over && at < hello.length - 1; at += 1) {
      client.send(hello.subarray(at, at + 1))
      await sleep(5)
    }
    await rest
    client.socket.destroy()
    assert.deepEqual(client.received().subarray(-7), Buffer.from([0x15, 3, 3, 0, 2, 2, 49]))
    assert.deepEqual(reached, [])
    assert.equal((await egress.record(0)).reason, 'MESH_EGRESS_NOT_TLS')
  })

  it('passes what comes with CONNECT in one packet', async () => {
    const { reached, egress, auth, port, client: other } = await open()
    const hello = await captureHello({ servername: 'api.test' })
    const client = await rawClient(egress.number)
    client.send(Buffer.concat([Buffer.from(connectTo(port, auth)), hello, Buffer.from('more')]))
    await client.until((text) => text.endsWith('answer'))
    assert.deepEqual(Buffer.concat(reached), Buffer.concat([hello, Buffer.from('more')]))
    for (const { socket } of [client, other]) socket.destroy()
  })

  it('lets no server speak before the client has named it', async () => {
    const { client, egress } = await open({}, 100, true)
    const text = await client.rest()
    assert.doesNotMatch(text, /220 hello/)
    client.socket.destroy()
    assert.equal((await egress.record(0)).bytes_down, 0)
  })

  it('ends in order for a client that thinks better of it', async () => {
    const { client, egress, reached } = await open()
    client.socket.end()
    await client.rest()
    const record = await egress.record(0)
    assert.deepEqual([record.status, record.reason], [200, null])
    assert.deepEqual(reached, [])
  })

  for (const [what, tls, bytes, code] of [
    ['no server name', {}, () => captureHello({}), 'MESH_EGRESS_SNI_MISMATCH'],
    [
      'no server name where policy allows that',
      { noServerName: 'allow' },
      () => captureHello({}),
      null,
    ],
    [
      'another server name',
      {},
      () => captureHello({ servername: 'evil.test' }),
      'MESH_EGRESS_SNI_MISMATCH',
    ],
    ['the server name in capitals', {}, () => captureHello({ servername: 'API.test' }), null],
    [
      'a name below it',
      {},
      () => captureHello({ servername: 'x.api.test' }),
      'MESH_EGRESS_SNI_MISMATCH',
    ],
    ['HTTP', {}, async () => Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'MESH_EGRESS_NOT_TLS'],
    ['SSH', {}, async () => Buffer.from('SSH-2.0-x\r\n'), 'MESH_EGRESS_NOT_TLS'],
    ['a hello of SSL 2', {}, async () => Buffer.from('802e010301', 'hex'), 'MESH_EGRESS_NOT_TLS'],
    [
      'a record that is no handshake',
      {},
      async () => Buffer.from('1703030005', 'hex'),
      'MESH_EGRESS_NOT_TLS',
    ],
    [
      'a handshake that is no hello',
      {},
      async () => Buffer.from('160301000402000000', 'hex'),
      'MESH_EGRESS_NOT_TLS',
    ],
    ['an ECH outer name', {}, () => withEch('outer.test'), 'MESH_EGRESS_SNI_MISMATCH'],
    [
      'an ECH outer name that policy names',
      { echOuterNames: ['outer.test'] },
      () => withEch('outer.test'),
      null,
    ],
    [
      'that outer name without ECH',
      { echOuterNames: ['outer.test'] },
      () => captureHello({ servername: 'outer.test' }),
      'MESH_EGRESS_SNI_MISMATCH',
    ],
  ] as const)
    it(`${code === null ? 'passes' : 'refuses'} ${what}`, async () => {
      const { client, egress, reached } = await open(tls)
      client.send(await bytes())
      if (code === null) {
        await client.until((text) => text.endsWith('answer'))
        client.socket.destroy()
        return
      }
      await client.rest()
      client.socket.destroy()
      assert.deepEqual(client.received().subarray(-7), Buffer.from([0x15, 3, 3, 0, 2, 2, 49]))
      assert.deepEqual(reached, [])
      const record = await egress.record(0)
      assert.deepEqual([record.reason, record.action_allowed], [code, false])
    })
})

/** A real hello with an extension 0xfe0d (RFC 9849) more. */
async function withEch(servername: string): Promise<Buffer> {
  const hello = Buffer.from(await captureHello({ servername }))
  const extension = Buffer.from('fe0d00050000010001', 'hex')
  // record and handshake lengths, then that of the extensions: after random, session id, suites and compression
  let at = 5 + 4 + 2 + 32
  at += 1 + hello.readUInt8(at)
  at += 2 + hello.readUInt16BE(at)
  at += 1 + hello.readUInt8(at)
  hello.writeUInt16BE(hello.readUInt16BE(3) + extension.length, 3)
  hello.writeUIntBE(hello.readUIntBE(6, 3) + extension.length, 6, 3)
  hello.writeUInt16BE(hello.readUInt16BE(at) + extension.length, at)
  return Buffer.concat([hello, extension])
}
