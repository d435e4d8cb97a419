/** What a request asks for, in one canonical form, or a refusal before any lookup. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  hostHeaderMatches,
  parseAbsoluteTarget,
  parseConnectTarget,
} from '../../../mesh-gateway/src/egress/request.ts'

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
    'http://exa%6dple.com/',
    'example.com/',
  ])
    it(`refuses absolute form ${text}`, () =>
      assert.equal(typeof parseAbsoluteTarget(text), 'string'))

  it('keeps the path and the query as they were sent', () => {
    const target = parseAbsoluteTarget(
      'HTTP://API.example.com:8080//%61%2Dmin/../x%3a%2f?q=%2e%2e/&u=http://a',
    )
    assert.deepEqual(target, {
      form: 'absolute',
      host: 'api.example.com',
      isIp: false,
      port: 8080,
      scheme: 'http',
      portNamed: true,
      path: '//%61%2Dmin/../x%3a%2f',
      query: '?q=%2e%2e/&u=http://a',
    })
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
