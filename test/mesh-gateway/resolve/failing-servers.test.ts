import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { unresolved } from '../../../mesh-gateway/src/egress/unresolved.ts'
import { createResolver } from '../../../mesh-gateway/src/resolve/create-resolver.ts'
import { ResolveFailure, type Resolver } from '../../../mesh-gateway/src/resolve/resolver.ts'
import { type DnsAnswer, type DnsDouble, startDnsDouble } from '../../support/dns-double.ts'

const SERVFAIL: DnsAnswer = { ips: [], ttl: 0, rcode: 2 }
/** The name is there, and has no record of that type. */
const NODATA: DnsAnswer = { ips: [], ttl: 0, rcode: 0 }
const HOST = 'api.vendor.test'

describe('a DNS server that fails as servers fail', () => {
  let dns: DnsDouble
  let resolver: Resolver
  let nowMs = 0
  let answers: Record<string, DnsAnswer>
  beforeEach(async () => {
    nowMs = 0
    answers = {}
    dns = await startDnsDouble((_name, type) => answers[type] ?? null)
    resolver = createResolver({ servers: [dns.server], now: () => nowMs })
  })
  afterEach(async () => {
    resolver.close()
    await dns.close()
  })

  async function failure(asked: Resolver = resolver): Promise<ResolveFailure> {
    const error: unknown = await asked.addresses(HOST).then(
      () => null,
      (cause: unknown) => cause,
    )
    assert.ok(error instanceof ResolveFailure)
    return error
  }

  it('is told from a name that is not there, with its address', async () => {
    answers = { A: SERVFAIL, AAAA: SERVFAIL }
    const { kind, code, servers } = await failure()
    assert.deepEqual(
      { kind, code, servers },
      { kind: 'failed', code: 'ESERVFAIL', servers: [dns.server] },
    )
  })

  for (const [type, other] of [
    ['A', 'AAAA'],
    ['AAAA', 'A'],
  ] as const)
    it(`has not said that there is nothing when it has no ${type} and fails at ${other}, and is asked again`, async () => {
      answers = { [type]: NODATA, [other]: SERVFAIL }
      assert.equal((await failure()).kind, 'failed')
      answers = { A: { ips: ['192.0.2.1'], ttl: 60 }, AAAA: NODATA }
      assert.deepEqual(
        (await resolver.addresses(HOST)).map(({ ip }) => ip),
        ['192.0.2.1'],
      )
    })

  it('has said that there is nothing when it has neither A nor AAAA', async () => {
    answers = { A: NODATA, AAAA: NODATA }
    const { kind, servers } = await failure()
    assert.deepEqual({ kind, servers }, { kind: 'not-found', servers: [] })
  })

  it('is believed in what it answers when it fails at the rest', async () => {
    answers = { A: SERVFAIL, AAAA: { ips: [], ips6: ['2001:db8::1'], ttl: 60 } }
    assert.deepEqual(
      (await resolver.addresses(HOST)).map(({ ip }) => ip),
      ['2001:db8::1'],
    )
  })

  it('is asked again after an hour, whatever TTL it gave', async () => {
    // the largest there is (RFC 2181, section 8): 68 years
    answers = { A: { ips: ['192.0.2.1'], ttl: 2 ** 31 - 1 }, AAAA: NODATA }
    await resolver.addresses(HOST)
    nowMs = 3_600_000 - 1
    await resolver.addresses(HOST)
    assert.equal(dns.asked.length, 1)
    nowMs = 3_600_000
    await resolver.addresses(HOST)
    assert.equal(dns.asked.length, 2)
  })

  it('that is silent, or is not there, is a time-out with its address, and no fault of the name', async () => {
    const mute = createSocket('udp4')
    mute.bind(0, '127.0.0.1')
    await once(mute, 'listening')
    const silent = `127.0.0.1:${mute.address().port}`
    const patient = createResolver({ servers: [silent], timeoutMs: 200 })
    const first = unresolved(await failure(patient))
    patient.close()
    mute.close()
    await once(mute, 'close')
    const other = createResolver({ servers: [silent], timeoutMs: 1_000 })
    const second = unresolved(await failure(other))
    other.close()
    for (const { error } of [first, second]) {
      assert.equal(error.code, 'MESH_EGRESS_TIMEOUT')
      assert.equal(error.row.http, 504)
      assert.equal(error.message, `the DNS server ${silent} did not answer`)
      assert.doesNotMatch(error.hint, /spelling/)
    }
  })

  it('fails in words of its own: only a name that is not there is to be spelled otherwise', () => {
    const of = (kind: 'not-found' | 'failed', code: string) => {
      const cause = Object.assign(new Error(code), { code })
      const { error } = unresolved(new ResolveFailure(kind, cause, ['10.0.0.2:53']))
      return [error.row.http, error.message, /spelling/.test(error.hint)]
    }
    assert.deepEqual(of('not-found', 'ENOTFOUND'), [
      502,
      'the name of the destination does not resolve',
      true,
    ])
    assert.deepEqual(of('failed', 'ESERVFAIL'), [
      502,
      'the DNS server 10.0.0.2:53 could not answer (ESERVFAIL)',
      false,
    ])
    assert.deepEqual(of('failed', 'EAI_AGAIN'), [
      504,
      'the system has no answer for now (EAI_AGAIN) from the DNS server 10.0.0.2:53',
      false,
    ])
  })
})
