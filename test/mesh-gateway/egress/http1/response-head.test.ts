/** What is read of an answer: its body, whether the connection goes on, and a switch to WebSocket. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { HeadTooLarge, MalformedMessage } from '../../../../mesh-gateway/src/egress/http1/head.ts'
import { parseRequestHead } from '../../../../mesh-gateway/src/egress/http1/request-head.ts'
import { parseResponseHead } from '../../../../mesh-gateway/src/egress/http1/response-head.ts'
import { switchFault } from '../../../../mesh-gateway/src/egress/http1/websocket.ts'

const bytes = (lines: readonly string[]) => Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
const read = (method: string, ...lines: readonly string[]) =>
  parseResponseHead(bytes(lines), method)

describe('an answer', () => {
  for (const [line, status, reason] of [
    ['HTTP/1.1 200 OK', 200, 'OK'],
    ['HTTP/1.0 100', 100, ''],
    ['HTTP/1.1 999 \t~\x80\xff', 999, '\t~\x80\xff'],
    ['HTTP/1.1 200 ', 200, ''],
    ['HTTP/1.1 099 No', null, ''],
    ['HTTP/1.1 1000 No', null, ''],
    ['HTTP/1.2 200 OK', null, ''],
    ['xHTTP/1.1 200 OK', null, ''],
    ['HTTP/1.1  200 OK', null, ''],
    ['HTTP/1.1 200OK', null, ''],
    ['', null, ''],
  ] as const)
    it(`that begins with ${JSON.stringify(line)} is ${status ?? 'none'}`, () => {
      if (status === null) assert.throws(() => read('GET', line), MalformedMessage)
      else {
        const head = read('GET', line)
        assert.deepEqual([head.status, head.reason], [status, reason])
      }
    })

  for (const [method, status, field, body] of [
    ['GET', 200, 'Content-Length: 5', 5],
    ['GET', 200, 'Transfer-Encoding: chunked', 'chunked'],
    ['GET', 200, 'A: b', 'until-close'],
    ['HEAD', 200, 'Content-Length: 5', 0],
    ['HEAD', 200, 'A: b', 0],
    ['GET', 199, 'Content-Length: 5', 0],
    ['GET', 203, 'Content-Length: 5', 5],
    ['GET', 204, 'Content-Length: 5', 0],
    ['GET', 205, 'Content-Length: 5', 5],
    ['GET', 304, 'Content-Length: 5', 0],
    ['GET', 305, 'Content-Length: 5', 5],
  ] as const)
    it(`${status} to ${method} with ${field} has a body of ${body}`, () =>
      assert.equal(read(method, `HTTP/1.1 ${status} x`, field).body, body))

  for (const [version, fields, keepAlive] of [
    ['1.1', ['Content-Length: 5'], true],
    ['1.1', ['Transfer-Encoding: chunked'], true],
    ['1.1', ['A: b'], false],
    ['1.1', ['Content-Length: 5', 'Connection: x, Close'], false],
    ['1.0', ['Content-Length: 5'], false],
    ['1.0', ['Content-Length: 5', 'Connection: keep-alive'], false],
  ] as const)
    it(`of ${version} with ${fields.join(', ')} ${keepAlive ? 'keeps' : 'ends'} the connection`, () =>
      assert.equal(read('GET', `HTTP/1.${version.at(-1)} 200 OK`, ...fields).keepAlive, keepAlive))

  it('may not call its framing hop-by-hop, may have a blank before a colon, and 256 fields', () => {
    for (const name of ['content-length', 'Transfer-Encoding'])
      assert.throws(
        () => read('GET', 'HTTP/1.1 200 OK', `Connection: a, ${name}`),
        MalformedMessage,
      )
    assert.equal(read('GET', 'HTTP/1.1 200 OK', 'A : b').fields[0]?.name, 'a')
    const many = (count: number) => Array.from({ length: count }, (_, at) => `X-${at}: y`)
    assert.equal(read('GET', 'HTTP/1.1 200 OK', ...many(256)).fields.length, 256)
    assert.throws(() => read('GET', 'HTTP/1.1 200 OK', ...many(257)), HeadTooLarge)
  })
})

describe('an answer that switches', () => {
  const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
  const accept = createHash('sha1')
    .update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64')
  const ASKS = ['Connection: Upgrade', 'Upgrade: websocket']
  const UPGRADES = ['Connection: upgrade', 'Upgrade: WebSocket']
  const ACCEPTS = `Sec-WebSocket-Accept: ${accept}`
  const KEYED = [...ASKS, `Sec-WebSocket-Key: ${KEY}`]
  const OFFERS = [...KEYED, 'Sec-WebSocket-Protocol: a, B', 'Sec-WebSocket-Extensions: x; y=1, Z']

  for (const [why, asks, answers, fault] of [
    ['as it was asked to', KEYED, [...UPGRADES, ACCEPTS], null],
    [
      'to what was offered',
      OFFERS,
      [...UPGRADES, ACCEPTS, 'Sec-WebSocket-Protocol: B', 'Sec-WebSocket-Extensions: z ; q, x'],
      null,
    ],
    ['unasked', [], [...UPGRADES, ACCEPTS], /protocol that was not asked for/],
    ['to nothing', KEYED, ['Connection: upgrade', ACCEPTS], /protocol that was not asked for/],
    [
      'to h2c',
      KEYED,
      ['Connection: upgrade', 'Upgrade: h2c', ACCEPTS],
      /protocol that was not asked for/,
    ],
    [
      'and does not nominate it',
      KEYED,
      ['Upgrade: websocket', ACCEPTS],
      /without Connection: upgrade/,
    ],
    [
      'and closes',
      KEYED,
      ['Connection: upgrade, close', 'Upgrade: websocket', ACCEPTS],
      /without Connection: upgrade/,
    ],
    ['with no key', KEYED, UPGRADES, /Sec-WebSocket-Accept/],
    ['with another key', KEYED, [...UPGRADES, `${ACCEPTS}x`], /Sec-WebSocket-Accept/],
    ['though no key was sent', ASKS, [...UPGRADES, ACCEPTS], /Sec-WebSocket-Accept/],
    [
      'to a protocol of another case',
      OFFERS,
      [...UPGRADES, ACCEPTS, 'Sec-WebSocket-Protocol: b'],
      /WebSocket protocol that was not/,
    ],
    [
      'to a protocol, and none was offered',
      KEYED,
      [...UPGRADES, ACCEPTS, 'Sec-WebSocket-Protocol: a'],
      /WebSocket protocol that was not/,
    ],
    [
      'to an extension that was not offered',
      OFFERS,
      [...UPGRADES, ACCEPTS, 'Sec-WebSocket-Extensions: x, w'],
      /WebSocket extension/,
    ],
  ] as const)
    it(`${why} ${fault === null ? 'is taken' : 'is refused'}`, () => {
      const request = parseRequestHead(bytes(['GET / HTTP/1.1', 'Host: a.test', ...asks]))
      const told = switchFault(request, read('GET', 'HTTP/1.1 101 x', ...answers))
      if (fault === null) assert.equal(told, null)
      else assert.match(told ?? '', fault)
    })
})
