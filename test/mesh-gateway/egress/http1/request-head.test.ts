/** What a request asks for beside its destination: a body, another request after it, a WebSocket, so many hops. */
import assert from 'node:assert/strict'
import { MalformedMessage } from '../../../../mesh-gateway/src/egress/http1/head.ts'
import { parseRequestHead } from '../../../../mesh-gateway/src/egress/http1/request-head.ts'

const HOST = 'Host: a.test'
const read = (...lines: readonly string[]) =>
  parseRequestHead(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'))
const of = (method: string, version: string, ...fields: readonly string[]) =>
  read(`${method} /x HTTP/${version}`, HOST, ...fields)

describe('a request', () => {
  for (const line of [
    '(GET / HTTP/1.1',
    ' GET / HTTP/1.1',
    'GET / HTTP/1.11',
    'GET / HTTP/1.1 x',
    `${'A'.repeat(33)} / HTTP/1.1`,
    'GET /\x7f HTTP/1.1',
    '',
  ])
    it(`is none that begins with ${JSON.stringify(line)}`, () =>
      assert.throws(() => read(line, HOST), {
        constructor: MalformedMessage,
        message: line.includes('\x7f') ? /control/ : /request line/,
      }))

  it('may have a method of 32 characters, and what it asks for stands as it was', () => {
    const head = read(`${'A'.repeat(32)} /\x80?x HTTP/1.0`)
    assert.deepEqual(
      [head.method.length, head.target, head.version, head.host, head.nominated],
      [32, '/\x80?x', '1.0', null, []],
    )
  })

  for (const [method, version, fields, body] of [
    ['GET', '1.1', [], 0],
    ['POST', '1.1', ['Content-Length: 7'], 7],
    ['POST', '1.1', ['Transfer-Encoding: chunked'], 'chunked'],
    ['POST', '1.0', ['Content-Length: 7'], 7],
    ['POST', '1.0', ['Transfer-Encoding: chunked'], null],
    ['CONNECT', '1.1', [], 0],
    ['CONNECT', '1.1', ['Content-Length: 0'], 0],
    ['CONNECT', '1.1', ['Content-Length: 1'], null],
    ['CONNECT', '1.1', ['Transfer-Encoding: chunked'], null],
  ] as const)
    it(`${method} of ${version} with ${fields.join() || 'no length'} has ${body ?? 'no right'} to a body`, () => {
      const head = () => of(method, version, ...fields)
      if (body === null) assert.throws(head, MalformedMessage)
      else assert.equal(head().body, body)
    })

  for (const [version, fields, keepAlive] of [
    ['1.1', [], true],
    ['1.1', ['Connection: keep-alive'], true],
    ['1.1', ['Connection: Close'], false],
    ['1.1', ['Proxy-Connection: close'], false],
    ['1.1', ['Connection: x, close'], false],
    ['1.0', [], false],
    ['1.0', ['Connection: keep-alive'], false],
    ['1.0', ['Connection: close'], false],
  ] as const)
    it(`of ${version} with ${fields.join() || 'nothing said'} ${keepAlive ? 'keeps' : 'ends'} its connection`, () =>
      assert.equal(of('GET', version, ...fields).keepAlive, keepAlive))

  for (const [version, value, expected] of [
    ['1.1', null, false],
    ['1.1', '100-continue', true],
    ['1.1', '100-Continue', true],
    ['1.0', '100-continue', false],
    ['1.0', null, false],
    ['1.1', '200-ok', null],
    ['1.0', '200-ok', null],
  ] as const)
    it(`of ${version} that expects ${value} is ${expected === null ? 'refused' : expected ? 'answered before its body' : 'read as it is'}`, () => {
      const head = () => of('POST', version, ...(value === null ? [] : [`Expect: ${value}`]))
      if (expected === null) assert.throws(head, MalformedMessage)
      else assert.equal(head().expectContinue, expected)
    })

  for (const [method, version, upgrade, connection, length, expected] of [
    ['GET', '1.1', 'websocket', 'Upgrade', null, true],
    ['GET', '1.1', 'WebSocket', 'keep-alive, upgrade', '0', true],
    ['GET', '1.1', 'websocket', 'Upgrade', '1', false],
    ['POST', '1.1', 'websocket', 'Upgrade', null, false],
    ['GET', '1.0', 'websocket', 'Upgrade', null, false],
    ['GET', '1.1', 'h2c', 'Upgrade', null, false],
    ['GET', '1.1', null, 'Upgrade', null, false],
    ['GET', '1.1', 'websocket', 'keep-alive', null, false],
    ['GET', '1.1', 'websocket', null, null, false],
  ] as const)
    it(`${method} of ${version} with ${upgrade}, ${connection} and ${length} ${expected ? 'asks' : 'does not ask'} for a WebSocket`, () => {
      const fields = [
        ...(upgrade === null ? [] : [`Upgrade: ${upgrade}`]),
        ...(connection === null ? [] : [`Connection: ${connection}`]),
        ...(length === null ? [] : [`Content-Length: ${length}`]),
      ]
      assert.equal(of(method, version, ...fields).webSocket, expected)
    })

  for (const [method, value, expected] of [
    ['TRACE', '3', 3],
    ['OPTIONS', '0', 0],
    ['OPTIONS', '999999999', 999_999_999],
    ['OPTIONS', '1000000000', null],
    ['OPTIONS', 'x3', null],
    ['OPTIONS', '3x', null],
    ['OPTIONS', '', null],
    ['OPTIONS', null, null],
    ['GET', '3', null],
  ] as const)
    it(`${method} with Max-Forwards ${value} may go ${expected ?? 'any number of'} hops on`, () =>
      assert.equal(
        of(method, '1.1', ...(value === null ? [] : [`Max-Forwards: ${value}`])).maxForwards,
        expected,
      ))

  for (const name of ['Upgrade', 'Content-Type', 'Authorization', 'Proxy-Authorization', 'Expect'])
    it(`has ${name} once`, () => {
      const value = name === 'Expect' ? '100-continue' : 'a'
      assert.ok(of('GET', '1.1', `${name}: ${value}`))
      assert.throws(
        () => of('GET', '1.1', `${name}: ${value}`, `${name}: ${value}`),
        MalformedMessage,
      )
    })

  for (const name of ['host', 'content-length', 'transfer-encoding'])
    it(`does not take ${name} for its own hop's`, () =>
      assert.throws(() => of('GET', '1.1', `Connection: x, ${name}`), MalformedMessage))
})
