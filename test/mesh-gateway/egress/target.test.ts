/** One canonical form of every destination, or a refusal before any lookup. */
import assert from 'node:assert/strict'
import { domainToASCII } from 'node:url'
import fc from 'fast-check'
import { canonicalHost } from '../../../mesh-gateway/src/egress/target/canonical-host.ts'
import { formatIp, parseIp, parseIpv6 } from '../../../mesh-gateway/src/egress/target/ip-literal.ts'
import {
  hostHeaderMatches,
  parseAbsoluteTarget,
  parseConnectTarget,
} from '../../../mesh-gateway/src/egress/target/target.ts'

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

describe('the target of a request', () => {
  for (const text of [
    'example.com',
    'example.com:',
    'example.com:0',
    'example.com:65536',
    'example.com:0443',
    'example.com:+443',
    'example.com:443/',
    'example.com:443/path',
    'u@example.com:443',
    'u:p@example.com:443',
    'example.com:443#f',
    'example.com:443?q',
    'http://example.com:443',
    '%65xample.com:443',
    '[::1%25lo]:443',
    '[::1]443',
    '::1:443',
    'a:b:443',
    '*:443',
    ':443',
  ])
    it(`refuses CONNECT ${text}`, () => assert.equal(typeof parseConnectTarget(text), 'string'))

  for (const text of [
    'https://example.com/',
    'ftp://example.com/',
    'ws://example.com/',
    'http:/example.com/',
    'http:example.com',
    'http://',
    'http:///path',
    'http://u@example.com/',
    'http://u:p@example.com/',
    'http://example.com:/',
    'http://example.com:0/',
    'http://example.com:99999/',
    'http://example.com/#f',
    'http://example.com\\@evil.test/',
    'http://example.com/a/../b',
    'http://example.com/a/%2e%2e/b',
    'http://example.com/a%2fb',
    'http://example.com/a%5cb',
    'http://example.com/a%00b',
    'http://example.com/a%252fb',
    'http://example.com/a%25%32%66b',
    'http://example.com/a/%25%32e%252%65/b',
    'http://example.com/a/..%3bx/b',
    'http://example.com/a%zz',
    'http://example.com/a\\b',
    'http://exa%6dple.com/',
    'example.com/',
  ])
    it(`refuses absolute form ${text}`, () =>
      assert.equal(typeof parseAbsoluteTarget(text), 'string'))

  it('gives policy and upstream the same path, escapes undone once', () => {
    const target = parseAbsoluteTarget(
      'HTTP://API.example.com:8080/%61%2Dmin/x%3a?q=%2e%2e/&u=http://a',
    )
    assert.ok(typeof target === 'object')
    assert.deepEqual(target, {
      form: 'absolute',
      host: 'api.example.com',
      isIp: false,
      port: 8080,
      path: '/a-min/x%3A',
      query: '?q=%2e%2e/&u=http://a',
    })
  })

  it('says of a path that it refuses what it may not hold', () => {
    for (const path of ['//a', '/a/../b', '/a%2fb', '/a%252fb', '/a\\b'])
      assert.equal(
        parseAbsoluteTarget(`http://api.example.com${path}`),
        'the path can be read in more than one way: no //, /./, /../, \\ or encoded slash',
      )
  })

  it('takes a Host header with or without the port, and no other host', () => {
    const target = parseConnectTarget('api.example.com:8443')
    assert.ok(typeof target === 'object')
    for (const host of ['api.example.com', 'API.example.com:8443', 'api.example.com.'])
      assert.equal(hostHeaderMatches(host, target), true, host)
    for (const host of ['example.com', 'api.example.com:443', '', 'api.example.com:x', 'a,b'])
      assert.equal(hostHeaderMatches(host, target), false, host)
  })

  it('never throws, whatever stands in the request line', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.webUrl(), fc.string())
    fc.assert(
      fc.property(text, (value) => {
        parseConnectTarget(value)
        parseAbsoluteTarget(value)
        parseAbsoluteTarget(`http://${value}`)
      }),
      { numRuns: 1000 },
    )
  })
})
