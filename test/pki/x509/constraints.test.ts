/** The bounds of name constraints and of ranges of addresses. */
import assert from 'node:assert/strict'
import { namesRefused } from '../../../pki/src/x509/check-names.ts'
import { formatIp, ipBytes, ipInRange, parseIpRange } from '../../../pki/src/x509/ip-range.ts'

const NONE = { uris: [], dnsNames: [], ipAddresses: [], others: [] }

describe('names under constraints', () => {
  const refused = (names: object, permitted: object, excluded: object = {}) =>
    namesRefused(
      { ...NONE, ...names },
      { permitted: { ...NONE, ...permitted }, excluded: { ...NONE, ...excluded } },
    )
  const range = (cidr: string) => parseIpRange(cidr) ?? assert.fail(cidr)
  const ip = (text: string) => ipBytes(text) ?? assert.fail(text)

  it('are excluded, though nothing says what is permitted', () => {
    const names = {
      dnsNames: ['a.b', 'c'],
      uris: ['x://a.b/', 'x://c/'],
      ipAddresses: [ip('10.0.0.1')],
    }
    const excluded = { dnsNames: ['b'], uris: ['c'], ipAddresses: [range('10.0.0.0/8')] }
    assert.deepEqual(refused(names, {}, excluded), ['a.b', 'x://c/', '10.0.0.1'])
    assert.deepEqual(refused({ others: ['email'] }, {}, { others: ['email'] }), ['email'])
  })

  it('are within one of several, of hosts below where a dot says so, or anything', () => {
    const hosts = { dnsNames: ['a', 'x.b', 'b', 'c'] }
    assert.deepEqual(refused(hosts, { dnsNames: ['a', '.b'] }), ['b', 'c'])
    assert.deepEqual(refused(hosts, { dnsNames: [''] }), [])
    const uris = ['x://A/y', 'x://z.b?q', 'x://b#f', 'x://c', '1x://a/', 'x://a:80/']
    assert.deepEqual(refused({ uris }, { uris: ['a', '.b'] }), uris.slice(2))
    const ipAddresses = [ip('10.0.0.1'), ip('11.0.0.1'), ip('::1')]
    assert.deepEqual(
      refused({ ipAddresses }, { ipAddresses: [range('10.0.0.0/8'), range('12.0.0.0/8')] }),
      ['11.0.0.1', '0000:0000:0000:0000:0000:0000:0000:0001'],
    )
  })

  it('are judged up to a million comparisons, with all kinds counted', () => {
    const many = (count: number) => Array.from({ length: count }, () => 'a')
    const busy = ['that many names']
    assert.deepEqual(refused({ dnsNames: many(1024) }, { dnsNames: many(1024) }), [])
    assert.deepEqual(refused({ dnsNames: many(1025) }, { dnsNames: many(1024) }), busy)
    const mixed = { dnsNames: many(512), uris: many(512), ipAddresses: [ip('10.0.0.1')] }
    assert.deepEqual(refused(mixed, { dnsNames: many(1024) }), busy)
    assert.deepEqual(refused(mixed, { dnsNames: many(512) }, { uris: many(512) }), busy)
  })
})

describe('a range of addresses', () => {
  it('has any prefix, to the bit', () => {
    for (const [cidr, hex] of [
      ['255.255.255.255/32', 'ffffffffffffffff'],
      ['128.0.0.0/1', '8000000080000000'],
      ['10.1.2.0/23', '0a010200fffffe00'],
      ['10.1.2.128/25', '0a010280ffffff80'],
      ['2001:db8::/33', `20010db8${'00'.repeat(12)}ffffffff80${'00'.repeat(11)}`],
    ] as const)
      assert.equal(parseIpRange(cidr)?.toString('hex'), hex)
    for (const cidr of [
      '10.1.2.64/25',
      '10.0.0.0/08x',
      'x10.0.0.0/8',
      '10.0.0.0/0008',
      '10.0.0.0/',
    ])
      assert.equal(parseIpRange(cidr), null, cidr)
    assert.equal(parseIpRange('10.0.0.0/08')?.toString('hex'), '0a000000ff000000')
  })

  it('holds addresses of its own family whose bits agree as far as the mask goes', () => {
    const within = (address: string, cidr: string) =>
      ipInRange(ipBytes(address) ?? assert.fail(), parseIpRange(cidr) ?? assert.fail())
    assert.equal(within('10.1.3.255', '10.1.2.0/23'), true)
    assert.equal(within('10.1.4.0', '10.1.2.0/23'), false)
    assert.equal(within('10.0.2.1', '10.1.2.0/23'), false)
    assert.equal(within('::', '0.0.0.0/0'), false)
    assert.equal(
      formatIp(ipBytes('2001:db8::1') ?? assert.fail()),
      '2001:0db8:0000:0000:0000:0000:0000:0001',
    )
  })
})
