import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { connect } from 'node:net'
import { streamDecode, streamEncode } from 'dns-packet'
import { createDnsServer, type DnsServer } from '../../scripts/dev/dns-server.ts'

const records = {
  addresses: {
    'researcher.acme.mesh.internal': ['127.0.0.1', '::1'],
    'other.acme.mesh.internal': ['127.0.0.2', '127.0.0.3'],
  },
  services: {
    '_grpc._tcp.researcher.acme.mesh.internal': [
      { target: 'researcher.acme.mesh.internal', port: 7443 },
    ],
  },
  systemNames: ['localhost'],
}

describe('the DNS server of a development mesh', () => {
  let server: DnsServer
  let resolver: Resolver

  beforeEach(async () => {
    server = await createDnsServer({ records })
    resolver = new Resolver({ timeout: 1000, tries: 1 })
    resolver.setServers([server.address])
  })
  afterEach(async () => {
    resolver.cancel()
    await server.close()
  })

  it('answers addresses with a TTL, and services', async () => {
    assert.deepEqual(await resolver.resolve4('researcher.acme.mesh.internal', { ttl: true }), [
      { address: '127.0.0.1', ttl: 1 },
    ])
    assert.deepEqual(await resolver.resolve6('researcher.acme.mesh.internal'), ['::1'])
    assert.equal((await resolver.resolve4('OTHER.acme.mesh.internal')).length, 2)
    const [service] = await resolver.resolveSrv('_grpc._tcp.researcher.acme.mesh.internal')
    assert.equal(service?.name, 'researcher.acme.mesh.internal')
    assert.equal(service?.port, 7443)
  })

  it('answers for no other name, prototype names included, and forwards nothing', async () => {
    for (const name of ['example.com', 'constructor', 'hasOwnProperty', '__proto__'])
      await assert.rejects(resolver.resolve4(name), { code: 'ENOTFOUND' })
    await assert.rejects(resolver.resolveSrv('researcher.acme.mesh.internal'), { code: 'ENODATA' })
    await assert.rejects(resolver.resolveTxt('researcher.acme.mesh.internal'), { code: 'ENODATA' })
  })

  it('lets the system answer for the names it is told to', async () => {
    assert.ok((await resolver.resolve4('localhost')).includes('127.0.0.1'))
  })

  it('follows a change of its records at once', async () => {
    server.setRecords({ addresses: { 'new.acme.mesh.internal': ['127.0.0.9'] } })
    assert.deepEqual(await resolver.resolve4('new.acme.mesh.internal'), ['127.0.0.9'])
    await assert.rejects(resolver.resolve4('other.acme.mesh.internal'), { code: 'ENOTFOUND' })
  })

  it('answers on TCP too', async () => {
    const socket = connect(server.port, '127.0.0.1')
    const query = {
      type: 'query' as const,
      id: 7,
      questions: [{ type: 'A' as const, name: 'other.acme.mesh.internal' }],
    }
    const bytes = streamEncode(query)
    socket.write(bytes.subarray(0, 5))
    socket.write(bytes.subarray(5))
    const [reply] = await once(socket, 'data')
    assert.equal(streamDecode(reply).answers?.length, 2)
    socket.destroy()
  })

  it('survives packets that are none', async () => {
    const udp = createSocket('udp4')
    for (const junk of [
      Buffer.alloc(0),
      Buffer.alloc(3),
      Buffer.alloc(12, 0xff),
      Buffer.alloc(600, 0xc0),
    ])
      udp.send(junk, server.port, '127.0.0.1')
    const socket = connect(server.port, '127.0.0.1')
    socket.write(Buffer.from([0, 3, 1, 2, 3]))
    socket.resume()
    await once(socket, 'close')
    assert.deepEqual(await resolver.resolve6('researcher.acme.mesh.internal'), ['::1'])
    udp.close()
  })
})
