/** What goes on of a head: what frames it is written anew, what ends at this hop or is the mesh's own is not handed on. */
import assert from 'node:assert/strict'
import { trailerLines } from '../../../../mesh-gateway/src/egress/http1/hop-by-hop.ts'
import { parseRequestHead } from '../../../../mesh-gateway/src/egress/http1/request-head.ts'
import { parseResponseHead } from '../../../../mesh-gateway/src/egress/http1/response-head.ts'
import { isLoop, viaOf } from '../../../../mesh-gateway/src/egress/http1/via.ts'
import {
  type RequestMarks,
  type ResponseMarks,
  writeRequestHead,
  writeResponseHead,
} from '../../../../mesh-gateway/src/egress/http1/write-head.ts'
import { parseAbsoluteTarget } from '../../../../mesh-gateway/src/egress/request.ts'

const head = (lines: readonly string[]) => Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
const MARKS: RequestMarks = {
  ...{ requestId: 'id', traceparent: 'tp', dropTracestate: false },
  ...{ defaultPort: 80, path: null, dropAuthorization: false },
}

function sent(
  start: string,
  fields: readonly string[],
  marks: Partial<RequestMarks> = {},
): string[] {
  const request = parseRequestHead(head([start, ...fields]))
  const target = parseAbsoluteTarget(request.target)
  assert.ok(typeof target !== 'string', String(target))
  const lines = writeRequestHead(request, target, { ...MARKS, ...marks }).split('\r\n')
  assert.deepEqual(lines.slice(-2), ['', ''])
  return lines.slice(0, -2)
}
const HOST = 'Host: a.test'
const END = ['via: 1.1 clawmesh', 'x-request-id: id', 'traceparent: tp', 'connection: keep-alive']

describe('the head of a request that goes on', () => {
  for (const [start, marks, first, host] of [
    ['GET http://a.test/x?y=1 HTTP/1.1', {}, 'GET /x?y=1 HTTP/1.1', 'a.test'],
    ['GET http://a.test HTTP/1.1', {}, 'GET / HTTP/1.1', 'a.test'],
    ['GET http://a.test?q HTTP/1.1', {}, 'GET /?q HTTP/1.1', 'a.test'],
    ['GET http://a.test/x?y HTTP/1.1', { path: '/z' }, 'GET /z?y HTTP/1.1', 'a.test'],
    ['OPTIONS http://a.test HTTP/1.1', {}, 'OPTIONS * HTTP/1.1', 'a.test'],
    ['OPTIONS http://a.test/ HTTP/1.1', {}, 'OPTIONS / HTTP/1.1', 'a.test'],
    ['OPTIONS http://a.test?x HTTP/1.1', {}, 'OPTIONS /?x HTTP/1.1', 'a.test'],
    ['GET http://a.test:80/ HTTP/1.1', {}, 'GET / HTTP/1.1', 'a.test'],
    ['GET http://a.test:81/ HTTP/1.1', {}, 'GET / HTTP/1.1', 'a.test:81'],
    ['GET http://a.test:443/ HTTP/1.1', { defaultPort: 443 }, 'GET / HTTP/1.1', 'a.test'],
    ['GET http://a.test/ HTTP/1.1', { defaultPort: 443 }, 'GET / HTTP/1.1', 'a.test:80'],
  ] as const)
    it(`of ${start} is ${first} for ${host}`, () => {
      const named = `Host: ${/\/\/([^/? ]+)/.exec(start)?.[1]}`
      assert.deepEqual(sent(start, [named], marks), [first, `host: ${host}`, ...END])
    })

  const GET = 'GET http://a.test/ HTTP/1.1'
  for (const [fields, marks, expected] of [
    [['Accept: a', 'X-b:  c '], {}, ['Accept: a', 'X-b: c']],
    [['X-Mesh-Agent: a', 'X-Request-Id: b', 'Traceparent: c', 'TE: x', 'Trailer: y'], {}, []],
    [['Proxy-Authorization: Basic a', 'Keep-Alive: 5', 'Proxy-Connection: close'], {}, []],
    [['Connection: X-Hop, close', 'X-Hop: a', 'X-Other: b'], {}, ['X-Other: b']],
    [['Authorization: a'], {}, ['Authorization: a']],
    [['Tracestate: a=1'], {}, ['Tracestate: a=1']],
    [['Tracestate: a=1'], { dropTracestate: true }, []],
    [['Authorization: a'], { dropAuthorization: true }, []],
    [['Max-Forwards: 3'], {}, ['Max-Forwards: 3']],
    [['Content-Length: 0'], {}, ['content-length: 0']],
    [['Content-Length: 5'], {}, ['content-length: 5']],
    [['Transfer-Encoding: chunked'], {}, ['transfer-encoding: chunked']],
    [['Expect: 100-continue'], {}, ['Expect: 100-continue']],
  ] as const)
    it(`has of ${fields.join(', ')} ${expected.join(', ') || 'nothing'}`, () => {
      const [, , ...lines] = sent(GET, [HOST, ...fields], marks)
      assert.deepEqual(lines, [...expected, ...END])
    })

  it('of HTTP/1.0 expects nothing, and says what it came as', () => {
    const lines = sent('GET http://a.test/ HTTP/1.0', [HOST, 'Expect: 100-continue'])
    assert.deepEqual(lines.slice(2), ['via: 1.0 clawmesh', ...END.slice(1)])
  })

  it('counts a hop down where it may be answered on the way', () => {
    for (const method of ['OPTIONS', 'TRACE'])
      assert.deepEqual(
        sent(`${method} http://a.test/x HTTP/1.1`, [HOST, 'Max-Forwards: 3']).at(2),
        'Max-Forwards: 2',
      )
  })

  it('asks for a WebSocket when it did', () => {
    const lines = sent(GET, [HOST, 'Connection: Upgrade', 'Upgrade: websocket'])
    assert.deepEqual(lines.slice(-2), ['connection: upgrade', 'upgrade: websocket'])
  })
})

describe('the head of an answer that goes on', () => {
  const USUAL: ResponseMarks = { requestId: 'id', keptMs: 500, framing: 'as-declared' }
  for (const [start, fields, marks, expected] of [
    [
      '200 OK',
      ['Content-Length: 5'],
      {},
      ['Content-Length: 5', 'x-request-id: id', 'connection: keep-alive'],
    ],
    [
      '200 OK',
      ['A: b', 'Keep-Alive: timeout=99'],
      { keptMs: 60_999 },
      ['A: b', 'x-request-id: id', 'connection: keep-alive', 'keep-alive: timeout=60'],
    ],
    ['200 OK', ['A: b'], { keptMs: null }, ['A: b', 'x-request-id: id', 'connection: close']],
    [
      '200 OK',
      ['Content-Length: 5'],
      { framing: 'chunked' },
      ['x-request-id: id', 'transfer-encoding: chunked', 'connection: keep-alive'],
    ],
    [
      '200 OK',
      ['Content-Length: 5'],
      { framing: 'until-close' },
      ['x-request-id: id', 'connection: keep-alive'],
    ],
    ['204 No Content', ['Content-Length: 5'], {}, ['x-request-id: id', 'connection: keep-alive']],
    [
      '304 Not Modified',
      ['Content-Length: 5'],
      {},
      ['Content-Length: 5', 'x-request-id: id', 'connection: keep-alive'],
    ],
    ['103 Early Hints', ['Link: a', 'Content-Length: 5'], {}, ['Link: a']],
    [
      '101 Switching Protocols',
      ['Upgrade: websocket', 'A: b'],
      {},
      ['A: b', 'x-request-id: id', 'connection: upgrade', 'upgrade: websocket'],
    ],
    [
      '200 OK',
      ['X-Request-Id: its own', 'x-mesh-code: a', 'Connection: B', 'B: c', 'Keep-Alive: 5'],
      {},
      ['x-upstream-request-id: its own', 'x-request-id: id', 'connection: keep-alive'],
    ],
  ] as const)
    it(`of ${start} with ${fields.join(', ')} ${JSON.stringify(marks)} has ${expected.join(', ')}`, () => {
      const answer = parseResponseHead(head([`HTTP/1.1 ${start}`, ...fields]), 'GET')
      const lines = writeResponseHead(answer, { ...USUAL, ...marks }).split('\r\n')
      assert.deepEqual(lines, [`HTTP/1.1 ${start}`, ...expected, '', ''])
    })
})

describe('trailers that go on', () => {
  it('are none that would change how the body was read, or what was said of it', () => {
    const trailers = [
      ...['X-Sum', 'Server-Timing', 'Content-Length', 'Set-Cookie', 'X-Mesh-Code', 'Connection'],
      ...['X-Request-Id', 'Transfer-Encoding', 'a-x-mesh-'],
    ].map((rawName) => ({ rawName, name: rawName.toLowerCase(), value: '1' }))
    assert.equal(trailerLines(trailers), 'X-Sum: 1\r\nServer-Timing: 1\r\na-x-mesh-: 1\r\n')
    assert.equal(trailerLines([]), '')
  })
})

describe('Via', () => {
  const via = (...values: readonly string[]) =>
    values.map((value) => ({ name: 'via', rawName: 'Via', value }))

  it('names those that came, in their order, and then the gateway', () => {
    assert.equal(viaOf([], '1.1'), '1.1 clawmesh')
    const fields = [...via('1.0 a', '', '1.1 b (c)'), { name: 'x', rawName: 'x', value: 'y' }]
    assert.equal(viaOf(fields, '1.0'), '1.0 a, 1.1 b (c), 1.0 clawmesh')
  })

  for (const [value, expected] of [
    ['1.1 clawmesh', true],
    ['HTTP/1.1 Clawmesh:8443', true],
    ['1.0 a, 1.1 clawmesh', true],
    ['1.1 clawmesh (of somebody), 1.1 b', true],
    ['1.1 a (1.1 clawmesh)', false],
    ['1.1 a (x), (1.1 clawmesh, y)', false],
    ['1.1 my-clawmesh', false],
    ['1.1 clawmesh.test', false],
    ['1.1 clawmesh:x', false],
    ['clawmesh', false],
    ['x 1.1 clawmesh', false],
    ['1.1\tclawmesh', true],
    ['1.1 other', false],
    ['', false],
  ] as const)
    it(`${JSON.stringify(value)} is ${expected ? 'a' : 'no'} loop`, () => {
      assert.equal(isLoop(via('1.1 x', value)), expected)
      assert.equal(isLoop([{ name: 'x-via', rawName: 'x', value }]), false)
    })
})
