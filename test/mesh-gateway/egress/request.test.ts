/** What a request asks for, in one canonical form, or a refusal before any lookup. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  formatAuthority,
  hostHeaderMatches,
  parseAbsoluteTarget,
  parseAuthority,
  parseConnectTarget,
  parseRelayTarget,
} from '../../../mesh-gateway/src/egress/request.ts'
import { anyText } from '../../support/any-text.ts'

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
    'gopher://example.com/',
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

  for (const [text, why] of [
    ['example.com', 'CONNECT needs a port, e.g. api.example.com:443'],
    ['example.com:65536', 'the port is not a number from 1 to 65535'],
    ['example.com:', 'the port is not a number from 1 to 65535'],
    ['example.com:1x', 'the port is not a number from 1 to 65535'],
    ['example.com:x1', 'the port is not a number from 1 to 65535'],
    ['example.com:123456', 'the port is not a number from 1 to 65535'],
    ['u@example.com:443', 'the host holds a character that no host has'],
    ['b\xfccher.test:443', 'the host holds characters that can be read in more than one way'],
    [':443', 'the host is empty'],
  ] as const)
    it(`says of CONNECT ${text}: ${why}`, () => assert.equal(parseConnectTarget(text), why))

  for (const [text, why] of [
    ['/path', 'the target is neither host:port, nor a path, nor an http:// URL'],
    ['1http://a.test/', 'the target is neither host:port, nor a path, nor an http:// URL'],
    ['x http://a.test/', 'the target is neither host:port, nor a path, nor an http:// URL'],
    [
      'ftp://a.test/',
      'only http:// and https:// can be asked for in this form, or ws:// and wss://',
    ],
    ['http://a.test/#f', 'the target holds a fragment'],
    ['http://', 'the host is empty'],
    ['http://a.test:0?x', 'the port is not a number from 1 to 65535'],
  ] as const)
    it(`says of ${text} in absolute form: ${why}`, () =>
      assert.equal(parseAbsoluteTarget(text), why))

  for (const [text, host, port, path, query] of [
    ['http://a.test', 'a.test', 80, '/', ''],
    ['https://a.test', 'a.test', 443, '/', ''],
    ['HTTPS://A.test:65535/x', 'a.test', 65_535, '/x', ''],
    ['WS://a.test/x', 'a.test', 80, '/x', ''],
    ['wss://a.test/x', 'a.test', 443, '/x', ''],
    ['http://a.test:1?q/r', 'a.test', 1, '/', '?q/r'],
    ['http://a.test/x/?q?r', 'a.test', 80, '/x/', '?q?r'],
    ['http://[::1]:8080/', '::1', 8080, '/', ''],
    ['http://[::1]', '::1', 80, '/', ''],
    // UTF-8, as it stands in latin1
    ['http://b\xc3\xbccher.test/', 'xn--bcher-kva.test', 80, '/', ''],
  ] as const)
    it(`reads ${text} as ${host}, ${port}, ${path}${query}`, () => {
      const target = parseAbsoluteTarget(text)
      assert.ok(typeof target !== 'string', String(target))
      assert.deepEqual(
        [target.form, target.host, target.port, target.portNamed, target.path, target.query],
        ['absolute', host, port, true, path, query],
      )
      assert.equal(target.scheme, /^(?:http|ws)s:/i.test(text) ? 'https' : 'http')
      assert.equal(target.isIp, host === '::1')
    })

  for (const [path, header, expected] of [
    ['/x?y', 'a.test', ['a.test', 443, false, '/x', '?y']],
    ['/', 'A.test.:80', ['a.test', 80, true, '/', '']],
    ['/x', 'a.test:', 'the port is not a number from 1 to 65535'],
    ['*', 'a.test', 'only a path can be relayed'],
    ['x/', 'a.test', 'only a path can be relayed'],
    ['/x#y', 'a.test', 'the target holds a fragment'],
  ] as const)
    it(`reads ${path} for the Host ${header} in relay form`, () => {
      const target = parseRelayTarget(path, header)
      if (typeof target === 'string') assert.equal(target, expected)
      else
        assert.deepEqual(
          [target.host, target.port, target.portNamed, target.path, target.query],
          expected,
        )
      if (typeof target !== 'string')
        assert.deepEqual([target.form, target.scheme], ['relay', null])
    })

  it('of CONNECT has a host and a port, and nothing else', () => {
    assert.deepEqual(parseConnectTarget('127.1:8443'), {
      ...{ form: 'connect', host: '127.0.0.1', isIp: true, port: 8443, scheme: null },
      ...{ portNamed: true, path: null, query: '' },
    })
    assert.deepEqual(parseAuthority('a.test'), { host: 'a.test', isIp: false, port: null })
    assert.equal(formatAuthority('::1', 80), '[::1]:80')
    assert.equal(formatAuthority('::1', null), '[::1]')
    assert.equal(formatAuthority('a.test', 80), 'a.test:80')
    assert.equal(formatAuthority('a.test', null), 'a.test')
  })

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
    const text = fc.oneof(anyText(), fc.webUrl(), fc.string())
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
