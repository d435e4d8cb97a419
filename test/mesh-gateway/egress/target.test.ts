/** What a request asks for, in one canonical form, or a refusal before any lookup. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  hostHeaderMatches,
  parseAbsoluteTarget,
  parseConnectTarget,
} from '../../../mesh-gateway/src/egress/target/target.ts'

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
