/** One canonical form of every host, or a refusal before any lookup. */
import assert from 'node:assert/strict'
import { domainToASCII } from 'node:url'
import fc from 'fast-check'
import { canonicalHost, canonicalName } from '../../../mesh-gateway/src/net/host.ts'
import { formatIp, parseIp, parseIpv6 } from '../../../mesh-gateway/src/net/ip.ts'

const canonical = (text: string) => {
  const host = canonicalHost(text)
  return typeof host === 'string' ? null : host.name
}

describe('a destination in canonical form', () => {
  for (const [spelling, name] of [
    ['API.Example.COM', 'api.example.com'],
    ['example.com.', 'example.com'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['BÜCHER.example', 'xn--bcher-kva.example'],
    ['a_b.example', 'a_b.example'],
    ['127.0.0.1', '127.0.0.1'],
    ['127.1', '127.0.0.1'],
    ['127.0.1', '127.0.0.1'],
    ['2130706433', '127.0.0.1'],
    ['0x7f000001', '127.0.0.1'],
    ['0X7F.1', '127.0.0.1'],
    ['0177.0.0.01', '127.0.0.1'],
    ['017700000001', '127.0.0.1'],
    ['127.0.0.1.', '127.0.0.1'],
    ['0', '0.0.0.0'],
    ['0x', '0.0.0.0'],
    ['[::1]', '::1'],
    ['[0:0:0:0:0:0:0:1]', '::1'],
    ['[2001:DB8::0:1]', '2001:db8::1'],
    ['[::ffff:127.0.0.1]', '127.0.0.1'],
    ['[::FFFF:7f00:1]', '127.0.0.1'],
    ['[64:ff9b::10.0.0.1]', '64:ff9b::a00:1'],
  ] as const)
    it(`reads ${spelling} as ${name}`, () => assert.equal(canonical(spelling), name))

  for (const spelling of [
    '',
    '.',
    'a..b',
    'example.com..',
    '.example.com',
    '-a.example',
    'a-.example',
    'ex%61mple.com',
    'user@example.com',
    'example.com\\@evil.test',
    'a b.example',
    'a\u0000.example',
    'exa\u00admple.com',
    'ｅｘａｍｐｌｅ.com',
    'example。com',
    '127.0.0.256',
    '1.2.3.4.5',
    '08.8.8.8',
    '0xg.1',
    'foo.0x7f',
    'a.1',
    '4294967296',
    '1..2',
    '::1',
    '[::1%25eth0]',
    '[::1%eth0]',
    '[example.com]',
    '[127.0.0.1]',
    '[::1',
    '::1]',
    '[:::1]',
    '[1:2:3:4:5:6:7:8:9]',
    '[1::2::3]',
    '[::1.2.3]',
    '[::01.2.3.4]',
    '[v1.x]',
    'xn--a.example',
    'xn--ls8h\u00e9.example',
    '*.example.com',
    `${'a'.repeat(64)}.example`,
    `${'a.'.repeat(130)}example`,
  ])
    it(`refuses ${JSON.stringify(spelling).slice(0, 40)}`, () =>
      assert.equal(canonical(spelling), null))

  for (const [spelling, why] of [
    ['', 'the host is empty'],
    ['a'.repeat(1025), 'the host is too long'],
    [`${'a.'.repeat(512)}`, 'the host is empty or too long'],
    ['.', 'the host is empty or too long'],
    ['[::1', 'the brackets of the host do not match'],
    ['::1]', 'the brackets of the host do not match'],
    ['a]', 'the brackets of the host do not match'],
    ['a[', 'the host is not a DNS name'],
    ['[a]', 'what stands in brackets is not an IPv6 address'],
    ['a:1', 'an IPv6 address needs brackets'],
    ['\u2100.com', 'the host holds characters that can be read in more than one way'],
    ['xn--a.test', 'the host holds punycode that is not canonical'],
    ['xn--BCHER-KVA.test', 'xn--bcher-kva.test'],
    ['xn--a-ecp.test', 'the host holds punycode that is not canonical'],
    [
      'b\u00fccher.xn--bcher-kva.test',
      'the host holds characters that can be read in more than one way',
    ],
    ['1.2.3.256', 'the host looks like an IPv4 address and is none'],
  ] as const)
    it(`says of ${JSON.stringify(spelling).slice(0, 40)} what it is, or why it is none`, () => {
      const host = canonicalHost(spelling)
      assert.equal(typeof host === 'string' ? host : host.name, why)
    })

  it('may have 253 characters, and be an address', () => {
    const longest = `${'a.'.repeat(126)}b`
    assert.deepEqual(canonicalHost(`${longest}.`), { name: longest, isIp: false })
    assert.equal(canonicalHost(`b${longest}`), 'the host is empty or too long')
    assert.deepEqual(canonicalHost('127.1'), { name: '127.0.0.1', isIp: true })
    assert.deepEqual(canonicalHost('[::1]'), { name: '::1', isIp: true })
    // as rules, tokens and audit records have it
    assert.deepEqual(canonicalName('::1'), { name: '::1', isIp: true })
    assert.deepEqual(canonicalName('[::1]'), { name: '::1', isIp: true })
    assert.deepEqual(canonicalName('A.test'), { name: 'a.test', isIp: false })
    assert.equal(canonicalName('::1['), 'what stands in brackets is not an IPv6 address')
  })

  it('is a fixed point: what is canonical stays as it is', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.domain(), fc.ipV4Extended(), fc.ipV4(), fc.string(), fc.webAuthority()),
        (text) => {
          const name = canonical(text)
          if (name === null) return
          assert.equal(canonical(name.includes(':') ? `[${name}]` : name), name)
          assert.match(name, /^[a-z0-9._:-]+$/)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('never differs from what URL parsers would reach', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4Extended(), fc.domain()), (text) => {
        const name = canonical(text)
        if (name !== null) assert.equal(name, domainToASCII(text).replace(/\.$/, ''))
      }),
      { numRuns: 500 },
    )
  })

  it('reads every IPv6 address that it writes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const text = formatIp(bytes)
        assert.deepEqual(parseIpv6(text), bytes)
        assert.equal(formatIp(parseIp(text) ?? new Uint8Array()).length > 0, true)
      }),
    )
    fc.assert(
      fc.property(fc.ipV6(), (text) => assert.notEqual(parseIpv6(text), null)),
      { numRuns: 500 },
    )
  })
})
