import assert from 'node:assert/strict'
import fc from 'fast-check'
import { canonicalHost, canonicalName } from '../../../mesh-gateway/src/net/host.ts'
import {
  formatHostPattern,
  parseHostPattern,
  portMatches,
  usualPort,
} from '../../../mesh-gateway/src/net/host-pattern.ts'

describe('a host pattern', () => {
  const table: [text: string, canonical: string][] = [
    ['API.Example.COM', 'api.example.com'],
    ['api.example.com.', 'api.example.com'],
    ['*.Example.com.:8443', '*.example.com:8443'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['BÜCHER.example', 'xn--bcher-kva.example'],
    ['*.bücher.example', '*.xn--bcher-kva.example'],
    ['localhost', 'localhost'],
    ['192.0.2.1:443', '192.0.2.1:443'],
    ['2001:DB8:0::1', '[2001:db8::1]'],
    ['[2001:DB8:0::1]:80', '[2001:db8::1]:80'],
    ['[::ffff:192.0.2.1]', '192.0.2.1'],
  ]
  for (const [text, canonical] of table)
    it(`${text} is ${canonical}`, () => {
      const pattern = parseHostPattern(text)
      assert.ok(typeof pattern !== 'string', String(pattern))
      assert.equal(formatHostPattern(pattern), canonical)
    })

  for (const text of [
    'xn--',
    'xn--bcher-kva-.example',
    'a\u200d.test',
    'a。。b',
    '１２７.０.０.１',
    '%61.test',
    // IDN would make example.com of it, and requests that are written so are refused
    'ｅｘａｍｐｌｅ.com',
    'example。com',
    // one letter of another alphabet, or one that IDN replaces
    '\u2100.com',
  ])
    it(`is none of ${JSON.stringify(text)}`, () => {
      assert.equal(typeof parseHostPattern(text), 'string')
    })

  for (const [text, why] of [
    ['', /^is empty$/],
    ['a'.repeat(301), /^is too long for a host$/],
    [`${'a.'.repeat(150)}`, /^is neither a host name nor an IP address$/],
    ['*', /^matches everything/],
    ['*:443', /^matches everything/],
    ['https://api.test/v1', /^is a URL; write the host alone: api\.test$/],
    ['https://', /^is a URL; write the host alone: api\.example\.com$/],
    ['10.0.0.0/8', /^is an address range/],
    ['fd00::/8', /^is an address range/],
    ['api.test/8', /^holds a path/],
    ['10.0.0.0/8a', /^holds a path/],
    ['a/10.0.0.0/8', /^holds a path/],
    ['10.0.0.0/1234', /^holds a path/],
    ['/8', /^holds a path/],
    ['api.test/v1', /^holds a path/],
    ['api test', /^holds a character that no host has$/],
    ['user@api.test', /^holds a character that no host has$/],
    ['api.test:', /^has no valid port/],
    ['api.test:0', /^has no valid port/],
    ['api.test:x1', /^has no valid port/],
    ['api.test:1x', /^has no valid port/],
    ['api.test:65536', /^has no valid port/],
    ['api.test:123456', /^has no valid port/],
    ['*.10.0.0.1', /^puts a wildcard before an IP address$/],
    ['127.1', /^is no IPv4 address in its usual form/],
    ['0x7f000001', /^is no IPv4 address in its usual form/],
    ['0X7f.0.0.1', /^is no IPv4 address in its usual form/],
    ['127.0.0.256', /^is no IPv4 address in its usual form/],
    ['api.*.test', /^has a wildcard elsewhere/],
    ['*api.test', /^has a wildcard elsewhere/],
    ['a*', /^has a wildcard elsewhere/],
    ['*.*.test', /^has a wildcard elsewhere/],
    ['*.-a.test', /^is neither/],
    ['-a.0x1-', /^is neither/],
    ['1.2.3.4-', /^is neither/],
    ['-1.2.3.4a', /^is neither/],
    ['a:b:c', /^has no valid port/],
    ['::1::80', /^is no IPv6 address; with a port, write it as \[address\]:port$/],
    ['fe80::1:65537', /^has no valid port/],
    ['-a', /^is neither a host name nor an IP address$/],
  ] as const)
    it(`says why it is none of ${JSON.stringify(text).slice(0, 40)}`, () =>
      assert.match(String(parseHostPattern(text)), why))

  it('has the port that stands behind it, up to 65535', () => {
    for (const [text, port] of [
      ['api.test', null],
      ['api.test:1', 1],
      ['api.test:65535', 65_535],
      ['[::1]:80', 80],
      ['::1', null],
    ] as const) {
      const pattern = parseHostPattern(text)
      assert.ok(typeof pattern !== 'string', String(pattern))
      assert.equal(pattern.port, port)
    }
  })

  it('means the ports 80 and 443 where it names none', () => {
    const ports = [1, 79, 80, 81, 442, 443, 444]
    for (const [port, expected] of [
      [null, [80, 443]],
      [81, [81]],
      [443, [443]],
    ] as const) {
      const pattern = { host: 'api.test', wildcard: false, port }
      assert.deepEqual(
        ports.filter((one) => portMatches(pattern, one)),
        expected,
      )
    }
    assert.deepEqual(ports.filter(usualPort), [80, 443])
  })

  const piece = fc.constantFrom(
    'a',
    'B',
    'xn--',
    'ü',
    'Ü',
    'ß',
    '1',
    '0x7f',
    '.',
    '..',
    '-',
    '_',
    '127',
    '。',
    'İ',
    'K',
  )
  const name = fc.array(piece, { minLength: 1, maxLength: 8 }).map((parts) => parts.join(''))
  const ip = fc.oneof(
    fc.ipV4(),
    fc.ipV4Extended(),
    fc.ipV6().map((address) => `[${address}]`),
  )

  it('and a destination come to the same canonical form, or the pattern is refused at load', () => {
    fc.assert(
      fc.property(fc.oneof(name, ip, fc.domain()), (text) => {
        const target = canonicalHost(text)
        const pattern = parseHostPattern(text)
        if (typeof target === 'string' || typeof pattern === 'string') return
        assert.equal(pattern.host, target.name)
      }),
      { numRuns: 1000 },
    )
  })

  it('takes a canonical destination as it stands', () => {
    fc.assert(
      fc.property(fc.oneof(name, ip, fc.domain()), (text) => {
        const target = canonicalHost(text)
        if (typeof target !== 'string') assert.deepEqual(canonicalName(target.name), target)
      }),
      { numRuns: 1000 },
    )
  })

  it('is read back as it is written', () => {
    fc.assert(
      fc.property(
        fc.oneof(name, ip, fc.domain()),
        fc.constantFrom('', '*.'),
        fc.constantFrom('', ':80'),
        (host, star, port) => {
          const pattern = parseHostPattern(star + host + port)
          if (typeof pattern !== 'string')
            assert.deepEqual(parseHostPattern(formatHostPattern(pattern)), pattern)
        },
      ),
      { numRuns: 1000 },
    )
  })
})
