import assert from 'node:assert/strict'
import fc from 'fast-check'
import { canonicalHost, canonicalName } from '../../../mesh-gateway/src/net/host.ts'
import { formatHostPattern, parseHostPattern } from '../../../mesh-gateway/src/net/host-pattern.ts'

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
