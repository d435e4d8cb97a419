/** Connections from proxies: what comes behind the header, and what closes a connection. Real sockets. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import type { ClientAddress } from '../../../../mesh-gateway/src/net/client-address.ts'
import {
  type ProxyReceiver,
  type ProxyReceiverOptions,
  proxiesOf,
  receivedBy,
} from '../../../../mesh-gateway/src/net/proxy-protocol/proxy-receiver.ts'
import { listenOnFreePort } from '../../../support/http-origin.ts'
import { raw, version1, version2 } from '../../../support/proxy-header.ts'
import { waitFor } from '../../../support/wait-for.ts'

const CLIENT = { ip: '203.0.113.7', port: 51_234, proxyPort: 443 }
const PROXY = '127.23.9.1'
const HEADERS = [
  ['version 1', version1(CLIENT)],
  ['version 2', version2(CLIENT, { checksum: true })],
] as const

async function stop(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  await closed
}

describe('a connection from a proxy', () => {
  const sockets: Socket[] = []
  const faults: { fault: string; client: ClientAddress; detail: string }[] = []
  let served: { socket: Socket; client: ClientAddress }[] = []
  let proxies: ProxyReceiver | null = null
  let server: Server
  let port = 0

  async function open(options: Partial<ProxyReceiverOptions> = {}, from = ['127.23.9.0/24']) {
    proxies = proxiesOf(from, {
      headerMs: 60_000,
      refused: (fault, by) => void faults.push({ fault, ...by }),
      ...options,
    })
    server = createServer({ allowHalfOpen: true })
    server.on(
      'connection',
      receivedBy(proxies, (socket, client) => void served.push({ socket, client })),
    )
    port = await listenOnFreePort(server)
  }
  /** A connection that is open, or was reset by then. */
  async function dial(localAddress = PROXY): Promise<Socket> {
    const socket = connect({ host: '127.0.0.1', port, localAddress, noDelay: true })
    sockets.push(socket.on('error', () => {}))
    await new Promise((settled) => socket.once('connect', settled).once('close', settled))
    return socket
  }
  const closed = (socket: Socket) =>
    new Promise<void>((resolve) => {
      socket.resume()
      if (socket.closed) resolve()
      else socket.once('close', () => resolve())
    })
  const lastFault = async (fault: string) => {
    await waitFor(fault, () => faults.length > 0)
    assert.deepEqual(
      faults.map((one) => one.fault),
      [fault],
    )
    assert.deepEqual(served, [])
    return faults[0] ?? assert.fail()
  }
  const first = async () => {
    await waitFor('a client', () => served.length > 0)
    return served[0] ?? assert.fail()
  }

  afterEach(async () => {
    for (const socket of [...sockets.splice(0), ...served.map(({ socket }) => socket)])
      socket.destroy()
    faults.length = 0
    served = []
    proxies?.closeWaiting()
    await stop(server)
  })

  for (const [version, header] of HEADERS) {
    it(`has the client that its header names, and every byte behind it, with ${version}`, async () => {
      await open()
      const socket = await dial()
      const sent = Buffer.alloc(300_000, 'behind the header ')
      socket.end(Buffer.concat([header, sent]))
      const { socket: accepted, client } = await first()
      assert.deepEqual(client, CLIENT)
      assert.equal(await text(accepted), sent.toString())
      assert.deepEqual(faults, [])
    })

    it(`may send it byte by byte, with ${version}`, async () => {
      await open()
      const socket = await dial()
      for (const byte of Buffer.concat([header, Buffer.from('GET')])) {
        socket.write(Buffer.of(byte))
        await new Promise(setImmediate)
      }
      socket.end()
      const { socket: accepted, client } = await first()
      assert.deepEqual([client, await text(accepted)], [CLIENT, 'GET'])
    })

    it(`that ends within its header is closed and counted, with ${version}`, async () => {
      await open()
      const socket = await dial()
      const { localPort } = socket
      socket.end(header.subarray(0, header.length - 1))
      const { client } = await lastFault('proxy-malformed')
      assert.deepEqual(client, { ip: PROXY, port: localPort })
      await closed(socket)
    })
  }

  it('has nothing behind its header that it did not send there', async () => {
    await open()
    const socket = await dial()
    socket.write(version1(CLIENT))
    const { socket: accepted } = await first()
    assert.equal(accepted.readableLength, 0)
    socket.end('later')
    assert.equal(await text(accepted), 'later')
  })

  for (const [what, bytes, fault] of [
    ['does not begin with a header', 'GET / HTTP/1.1\r\n\r\n', 'proxy-missing'],
    ['begins with TLS', '\x16\x03\x01\x02\0', 'proxy-missing'],
    ['has a header that is malformed', 'PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n', 'proxy-malformed'],
    ['has a line that does not end', `PROXY TCP4 ${'1'.repeat(200)}`, 'proxy-malformed'],
    [
      'announces more than a header may have',
      raw(0x21, 0x11, Buffer.alloc(0), 65_535),
      'proxy-malformed',
    ],
    ['is the proxy’s own (LOCAL)', raw(0x20, 0, Buffer.alloc(0)), 'proxy-without-client'],
    ['has an unknown client', 'PROXY UNKNOWN\r\n', 'proxy-without-client'],
    ['has a client of a Unix socket', raw(0x21, 0x31, Buffer.alloc(216)), 'proxy-without-client'],
  ] as const)
    it(`that ${what} is closed at once and counted, and no byte of it is served`, async () => {
      await open()
      const socket = await dial()
      socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
      await closed(socket)
      await lastFault(fault)
    })

  it('from an address that is not listed is closed before a byte of it is read', async () => {
    await open()
    const socket = await dial('127.23.10.1')
    socket.write(version2({ ip: PROXY, port: 1 }))
    await closed(socket)
    const { client } = await lastFault('proxy-unlisted')
    assert.equal(client.ip, '127.23.10.1')
  })

  it('that stays silent, or stops within its header, is closed when its time is up', async () => {
    await open({ headerMs: 100 })
    const silent = await dial()
    const half = await dial()
    half.write('PROXY TCP4 ')
    await Promise.all([closed(silent), closed(half)])
    assert.deepEqual(
      faults.map(({ fault }) => fault),
      ['proxy-timeout', 'proxy-timeout'],
    )
  })

  it('has no time limit of its own once the header is there', async () => {
    await open({ headerMs: 100 })
    const socket = await dial()
    socket.write(version1(CLIENT))
    const { socket: accepted } = await first()
    // of the same age, and closed: the limit of the first would have come before
    await closed(await dial())
    assert.equal(accepted.destroyed, false)
    assert.equal(faults.length, 1)
  })

  it('that says nothing and closes again is no fault: a look whether the port is open', async () => {
    await open()
    const socket = await dial()
    socket.destroy()
    const reset = await dial()
    reset.resetAndDestroy()
    const marker = await dial()
    marker.write('GET')
    await closed(marker)
    await lastFault('proxy-missing')
  })

  it('is the oldest one to go when more wait for their headers than may', async () => {
    await open({ maxWaiting: 2 })
    const [oldest, second] = [await dial(), await dial()]
    await dial()
    await closed(oldest)
    await lastFault('proxy-timeout')
    second.write(version1(CLIENT))
    assert.equal((await first()).client.ip, CLIENT.ip)
  })

  it('is closed with the port while it waits for its header', async () => {
    await open()
    const socket = await dial()
    socket.write('PROXY ')
    // the server has read it when it has read the next one
    const marker = await dial()
    marker.write('GET')
    await closed(marker)
    proxies?.closeWaiting()
    await closed(socket)
    assert.equal(faults.length, 1, 'that of the marker')
  })

  it('is what it is where no proxy is listed: nothing is read of it', async () => {
    await open({}, [])
    assert.equal(proxies, null)
    const socket = await dial()
    const { client } = await first()
    assert.deepEqual(client, { ip: PROXY, port: socket.localPort })
  })

  it('may come over IPv6 too', async function () {
    await open({}, ['::1/128'])
    const six = createServer({ allowHalfOpen: true })
    six.on(
      'connection',
      receivedBy(proxies, (socket, client) => void served.push({ socket, client })),
    )
    six.listen(0, '::1')
    try {
      await once(six, 'listening')
    } catch {
      this.skip()
    }
    const address = six.address()
    assert.ok(address !== null && typeof address === 'object')
    const socket = connect({ host: '::1', port: address.port })
    sockets.push(socket)
    socket.write(version2({ ip: '2001:db8::7', port: 7, proxyPort: 443 }))
    assert.deepEqual((await first()).client, { ip: '2001:db8::7', port: 7, proxyPort: 443 })
    socket.destroy()
    for (const one of served) one.socket.destroy()
    await stop(six)
  })
})
