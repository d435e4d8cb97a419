/** HTTP/1 read strictly. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createBodyDecoder } from '../../../../mesh-gateway/src/egress/http1/body-decoder.ts'
import { MalformedMessage } from '../../../../mesh-gateway/src/egress/http1/head.ts'
import { parseRequestHead } from '../../../../mesh-gateway/src/egress/http1/request-head.ts'
import { parseResponseHead } from '../../../../mesh-gateway/src/egress/http1/response-head.ts'

const request = (...lines: string[]) =>
  parseRequestHead(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'))
const response = (method: string, ...lines: string[]) =>
  parseResponseHead(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), method)
const HOST = 'Host: a.test'

describe('the head of a request', () => {
  it('is read as it stands', () => {
    const head = request(
      'POST http://a.test/x HTTP/1.1',
      HOST,
      'X-Y:\t v w \t',
      'Content-Length: 3',
    )
    assert.equal(head.method, 'POST')
    assert.equal(head.body, 3)
    assert.equal(head.keepAlive, true)
    assert.deepEqual(head.fields[1], { name: 'x-y', rawName: 'X-Y', value: 'v w' })
  })

  for (const [why, lines] of [
    ['two spaces in the request line', ['GET  http://a.test/ HTTP/1.1', HOST]],
    ['a tab in the request line', ['GET\thttp://a.test/ HTTP/1.1', HOST]],
    ['a space at its end', ['GET http://a.test/ HTTP/1.1 ', HOST]],
    ['no version', ['GET http://a.test/', HOST]],
    ['HTTP/0.9', ['GET http://a.test/ HTTP/0.9', HOST]],
    ['HTTP/1.2', ['GET http://a.test/ HTTP/1.2', HOST]],
    ['HTTP/2', ['PRI * HTTP/2.0', HOST]],
    ['lower-case http', ['GET http://a.test/ http/1.1', HOST]],
    ['no Host in HTTP/1.1', ['GET http://a.test/ HTTP/1.1']],
    ['two Hosts', ['GET http://a.test/ HTTP/1.1', HOST, HOST]],
    ['two Hosts, one spelled otherwise', ['GET http://a.test/ HTTP/1.1', HOST, 'hOST: b.test']],
    ['a folded line', ['GET http://a.test/ HTTP/1.1', HOST, 'X: a', ' b']],
    ['a folded first line', ['GET http://a.test/ HTTP/1.1', ' X: a', HOST]],
    ['white space before the colon', ['GET http://a.test/ HTTP/1.1', 'Host : a.test', HOST]],
    ['a field without a colon', ['GET http://a.test/ HTTP/1.1', HOST, 'nothing']],
    ['a field without a name', ['GET http://a.test/ HTTP/1.1', HOST, ': x']],
    ['a NUL', ['GET http://a.test/ HTTP/1.1', HOST, 'X: \0']],
    ['a bare LF', ['GET http://a.test/ HTTP/1.1', HOST, 'X: a\nY: b']],
    ['a bare CR', ['GET http://a.test/ HTTP/1.1', HOST, 'X: a\rY: b']],
    ['both lengths', ['POST / HTTP/1.1', HOST, 'Content-Length: 3', 'Transfer-Encoding: chunked']],
    ['two lengths', ['POST / HTTP/1.1', HOST, 'Content-Length: 3', 'Content-Length: 3']],
    ['a list of lengths', ['POST / HTTP/1.1', HOST, 'Content-Length: 3, 3']],
    ['a signed length', ['POST / HTTP/1.1', HOST, 'Content-Length: +3']],
    ['a hexadecimal length', ['POST / HTTP/1.1', HOST, 'Content-Length: 0x3']],
    ['an empty length', ['POST / HTTP/1.1', HOST, 'Content-Length:']],
    ['an enormous length', ['POST / HTTP/1.1', HOST, 'Content-Length: 99999999999999999999']],
    ['TE: gzip, chunked', ['POST / HTTP/1.1', HOST, 'Transfer-Encoding: gzip, chunked']],
    ['TE: chunked, chunked', ['POST / HTTP/1.1', HOST, 'Transfer-Encoding: chunked, chunked']],
    ['TE twice', ['POST / HTTP/1.1', HOST, 'Transfer-Encoding: chunked', 'Transfer-Encoding: x']],
    ['TE: identity', ['POST / HTTP/1.1', HOST, 'Transfer-Encoding: identity']],
    ['TE with a vertical tab', ['POST / HTTP/1.1', HOST, 'Transfer-Encoding: \x0bchunked']],
    ['chunked in HTTP/1.0', ['POST / HTTP/1.0', HOST, 'Transfer-Encoding: chunked']],
    ['CONNECT with a length', ['CONNECT a.test:443 HTTP/1.1', HOST, 'Content-Length: 3']],
    ['CONNECT with chunks', ['CONNECT a.test:443 HTTP/1.1', HOST, 'Transfer-Encoding: chunked']],
    [
      'two credentials',
      ['GET / HTTP/1.1', HOST, 'Proxy-Authorization: a', 'Proxy-Authorization: b'],
    ],
    ['an unknown expectation', ['GET / HTTP/1.1', HOST, 'Expect: 200-ok']],
    ['a nominated Host', ['GET / HTTP/1.1', HOST, 'Connection: close, host']],
    ['a nominated length', ['GET / HTTP/1.1', HOST, 'Connection: Content-Length']],
    ['101 fields', ['GET / HTTP/1.1', HOST, ...Array.from({ length: 100 }, (_, i) => `X-${i}: y`)]],
  ] as const)
    it(`is refused for ${why}`, () => assert.throws(() => request(...lines), MalformedMessage))

  it('may hold 100 fields, and a CONNECT of HTTP/1.0 needs no Host', () => {
    const many = Array.from({ length: 99 }, (_, index) => `X-${index}: y`)
    assert.equal(request('GET / HTTP/1.1', HOST, ...many).fields.length, 100)
    assert.equal(request('CONNECT a.test:443 HTTP/1.0').host, null)
  })
})

describe('the head of an answer', () => {
  it('frames the body as RFC 9112 says', () => {
    assert.equal(response('GET', 'HTTP/1.1 200 OK', 'Content-Length: 5').body, 5)
    assert.equal(response('HEAD', 'HTTP/1.1 200 OK', 'Content-Length: 5').body, 0)
    assert.equal(response('GET', 'HTTP/1.1 304 Not Modified', 'Content-Length: 5').body, 0)
    assert.equal(response('GET', 'HTTP/1.1 204 No Content').body, 0)
    assert.equal(response('GET', 'HTTP/1.1 200 OK', 'Transfer-Encoding: chunked').body, 'chunked')
    assert.equal(response('GET', 'HTTP/1.1 200 OK').body, 'until-close')
    assert.equal(response('GET', 'HTTP/1.1 200').keepAlive, false)
    assert.equal(response('GET', 'HTTP/1.0 200 OK', 'Content-Length: 5').keepAlive, false)
  })

  for (const [why, lines] of [
    ['garbage', ['hello']],
    ['a status of two digits', ['HTTP/1.1 20 OK']],
    ['a status below 100', ['HTTP/1.1 099 No']],
    ['both lengths', ['HTTP/1.1 200 OK', 'Content-Length: 3', 'Transfer-Encoding: chunked']],
    ['two lengths', ['HTTP/1.1 200 OK', 'Content-Length: 3', 'Content-Length: 4']],
    ['another coding', ['HTTP/1.1 200 OK', 'Transfer-Encoding: gzip, chunked']],
    ['a folded line', ['HTTP/1.1 200 OK', 'X: a', ' b']],
    ['a bare LF', ['HTTP/1.1 200 OK', 'X: a\nSet-Cookie: b']],
  ] as const)
    it(`is refused for ${why}`, () =>
      assert.throws(() => response('GET', ...lines), MalformedMessage))
})

describe('a chunked body', () => {
  const decode = (pieces: readonly Buffer[]) => {
    const out: Buffer[] = []
    const decoder = createBodyDecoder('chunked', (data) => out.push(Buffer.from(data)))
    let rest = ''
    for (const piece of pieces) {
      const taken = decoder.push(piece)
      rest += piece.toString('latin1', taken)
    }
    return { text: Buffer.concat(out).toString('latin1'), decoder, rest }
  }

  it('comes out whole however it is cut, with its trailers, and what follows is left alone', () => {
    const wire = Buffer.from('5\r\nhello\r\nA;x=y\r\n0123456789\r\n000\r\nX-Sum: 1\r\n\r\nGET /')
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 12 })), (sizes) => {
        const pieces: Buffer[] = []
        let at = 0
        for (const size of [...sizes, wire.length]) {
          if (at < wire.length) pieces.push(wire.subarray(at, at + size))
          at += size
        }
        const { text, decoder, rest } = decode(pieces)
        assert.equal(text, 'hello0123456789')
        assert.equal(decoder.done, true)
        assert.deepEqual(
          decoder.trailers.map(({ name, value }) => [name, value]),
          [['x-sum', '1']],
        )
        assert.equal(rest, 'GET /')
      }),
    )
  })

  it('in many small chunks goes on in one piece for each read, in its order among large ones', () => {
    const pieces: number[] = []
    const decoder = createBodyDecoder('chunked', (data) => pieces.push(data.length))
    const small = '1\r\nx\r\n'.repeat(1000)
    decoder.push(Buffer.from(`${small}800\r\n${'x'.repeat(0x800)}\r\n${small}1\r\n`))
    decoder.push(Buffer.from(`x\r\n1\r\nx\r\n0\r\n\r\n`))
    assert.deepEqual(pieces, [1000, 0x800, 1000, 2])
    assert.equal(decoder.done, true)
  })

  for (const [why, text] of [
    ['a size that is none', 'x\r\n'],
    ['a negative size', '-1\r\n'],
    ['a size with 0x', '0x5\r\nhello\r\n'],
    ['a size that overflows', 'fffffffffffffffff\r\n'],
    ['a bare LF after the size', '5\nhello\r\n'],
    ['a bare LF after the data', '5\r\nhello\n'],
    ['data longer than its size', '5\r\nhello!\r\n'],
    ['an endless extension', `5;${'x'.repeat(300)}`],
    ['endless trailers', `0\r\n${'x: y\r\n'.repeat(2000)}`],
    ['a trailer that is none', '0\r\nnothing\r\n\r\n'],
    ['a folded trailer', '0\r\nX: a\r\n b\r\n\r\n'],
    ['an empty size', '\r\n'],
    ['white space before the size', ' 5\r\nhello\r\n'],
  ] as const)
    it(`is refused for ${why}`, () =>
      assert.throws(() => decode([Buffer.from(text, 'latin1')]), MalformedMessage))
})
