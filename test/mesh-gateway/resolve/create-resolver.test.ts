import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import {
  createResolver,
  formatEndpoint,
} from '../../../mesh-gateway/src/resolve/create-resolver.ts'
import { ResolveFailure } from '../../../mesh-gateway/src/resolve/resolver.ts'
import { type DnsDouble, startDnsDouble } from '../../support/dns-double.ts'
import { startDnsmasq } from '../../support/dnsmasq.ts'
import { needProgram } from '../../support/need-program.ts'

const failsAs = (kind: string) => (error: unknown) =>
  error instanceof ResolveFailure && error.kind === kind

const HOSTS: Readonly<Record<string, readonly string[]>> = {
  'one.acme.mesh.internal': ['127.0.0.1'],
  'two.acme.mesh.internal': ['127.0.0.1', '127.0.0.2', '::1'],
  'moving.acme.mesh.internal': ['127.0.0.1'],
}
const MOVED = { 'moving.acme.mesh.internal': ['127.0.0.9'] }
const SERVICE = '_grpc._tcp.one.acme.mesh.internal'
const SERVICES = [
  { target: 'one.acme.mesh.internal', port: 7001, priority: 1 },
  { target: 'two.acme.mesh.internal', port: 7002, priority: 2 },
]

describe('the resolver', () => {
  let dns: DnsDouble
  let hosts = HOSTS

  before(async () => {
    dns = await startDnsDouble((name) => {
      const ips = hosts[name] ?? []
      return {
        ttl: 30,
        ips: ips.filter((ip) => !ip.includes(':')),
        ips6: ips.filter((ip) => ip.includes(':')),
        services: name === SERVICE ? SERVICES : [],
      }
    })
  })
  after(() => dns.close())
  beforeEach(() => {
    hosts = HOSTS
  })

  async function answersAddresses(server: string): Promise<void> {
    const resolver = createResolver({ servers: [server] })
    const found = await resolver.addresses('two.acme.mesh.internal')
    assert.deepEqual(found.map(({ ip }) => ip).sort(), ['127.0.0.1', '127.0.0.2', '::1'])
    assert.ok(found.every(({ ttlMs }) => ttlMs === 30_000))
    resolver.close()
  }

  async function answersServices(server: string): Promise<void> {
    const resolver = createResolver({ servers: [server] })
    const found = await resolver.services(SERVICE)
    assert.deepEqual(
      found
        .map(({ host, port, priority }) => ({ target: host, port, priority }))
        .sort((a, b) => a.priority - b.priority),
      SERVICES,
    )
    resolver.close()
  }

  async function keepsAnswers(server: string, move: () => unknown): Promise<void> {
    let now = 0
    const resolver = createResolver({ servers: [server], now: () => now })
    const ips = async () =>
      (await resolver.addresses('moving.acme.mesh.internal')).map(({ ip }) => ip)
    assert.deepEqual(await ips(), ['127.0.0.1'])
    await move()
    now = 29_999
    assert.deepEqual(await ips(), ['127.0.0.1'])
    now = 30_000
    assert.deepEqual(await ips(), ['127.0.0.9'])
    resolver.close()
  }

  async function tellsWhatIsMissing(server: string): Promise<void> {
    const resolver = createResolver({ servers: [server] })
    await assert.rejects(resolver.addresses('no.acme.mesh.internal'), failsAs('not-found'))
    await assert.rejects(resolver.services('_grpc._tcp.no.internal'), failsAs('not-found'))
    resolver.close()
  }

  it('answers every A and AAAA record with its TTL', () => answersAddresses(dns.server))

  it('answers SRV records', () => answersServices(dns.server))

  it('keeps an answer as long as its TTL, and no longer', () =>
    keepsAnswers(dns.server, () => {
      hosts = MOVED
    }))

  it('does all of this with dnsmasq too', async function () {
    needProgram(this, 'dnsmasq')
    const services = SERVICES.map(
      ({ target, port, priority }) => `${target},${port},${priority},10`,
    )
    const real = await startDnsmasq({ ttl: 30, hosts: HOSTS, services: { [SERVICE]: services } })
    try {
      await answersAddresses(real.server)
      await answersServices(real.server)
      await keepsAnswers(real.server, () => real.setHosts(MOVED))
      await tellsWhatIsMissing(real.server)
    } finally {
      await real.close()
    }
  })

  it('tells a name that is not there from a server that does not answer', async () => {
    await tellsWhatIsMissing(dns.server)
    const mute = createSocket('udp4')
    mute.bind(0, '127.0.0.1')
    await once(mute, 'listening')
    const server = `127.0.0.1:${mute.address().port}`
    const impatient = createResolver({ servers: [server], timeoutMs: 100 })
    await assert.rejects(impatient.addresses('one.acme.mesh.internal'), failsAs('timeout'))
    impatient.close()
    mute.close()
  })

  it('asks once for many who ask at once', async () => {
    const mute = createSocket('udp4')
    let asked = 0
    mute.on('message', () => {
      asked += 1
    })
    mute.bind(0, '127.0.0.1')
    await once(mute, 'listening')
    const resolver = createResolver({
      servers: [`127.0.0.1:${mute.address().port}`],
      timeoutMs: 100,
    })
    const answers = await Promise.allSettled(
      Array.from({ length: 1_000 }, () => resolver.addresses('one.acme.mesh.internal')),
    )
    assert.ok(answers.every(({ status }) => status === 'rejected'))
    // A and AAAA, and what c-ares repeats of each
    assert.ok(asked <= 8, `${asked} queries`)
    resolver.close()
    mute.close()
  })

  it('asks the system where no servers are named, whose answers count for five seconds', async () => {
    const resolver = createResolver()
    const found = await resolver.addresses('localhost')
    assert.ok(found.some(({ ip }) => ip === '127.0.0.1' || ip === '::1'))
    assert.ok(found.every(({ ttlMs }) => ttlMs === 5_000))
    resolver.close()
  })

  it('keeps for two seconds that a name is not there', async () => {
    let now = 0
    const resolver = createResolver({ servers: [dns.server], now: () => now })
    const ask = () => resolver.addresses('nobody.acme.mesh.internal')
    const questions = async () => {
      const before = dns.asked.length
      await assert.rejects(ask(), failsAs('not-found'))
      return dns.asked.length - before
    }
    assert.ok((await questions()) > 0)
    now = 1_999
    assert.equal(await questions(), 0)
    now = 2_000
    assert.ok((await questions()) > 0)
    resolver.close()
  })

  it('writes an endpoint as URLs do', () => {
    assert.equal(formatEndpoint('192.0.2.1', 53), '192.0.2.1:53')
    assert.equal(formatEndpoint('2001:db8::1', 53), '[2001:db8::1]:53')
  })

  it('refuses servers that are not addresses', () => {
    assert.throws(() => createResolver({ servers: ['dns.example'] }), TypeError)
  })
})
