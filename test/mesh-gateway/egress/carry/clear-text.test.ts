/** What is judged in a tunnel without TLS, byte for byte: the verdict, how much has gone on, and whether more is judged. */
import assert from 'node:assert/strict'
import type { ErrorCode } from '@clawmesh/proto'
import { ClearText } from '../../../../mesh-gateway/src/egress/carry/clear-text.ts'
import { parseConnectTarget } from '../../../../mesh-gateway/src/egress/request.ts'
import { countCalls } from '../../../support/count-calls.ts'

const HOST = 'Host: api.test\r\n'
const GOOD = `GET / HTTP/1.1\r\n${HOST}\r\n`
const EVIL = 'GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n'
const SOCKET = `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`
const POST = `POST / HTTP/1.1\r\n${HOST}`
const MISMATCH = 'MESH_EGRESS_HOST_MISMATCH'
const MALFORMED = 'MESH_EGRESS_MALFORMED'
const CLEARTEXT = 'MESH_EGRESS_CLEARTEXT'

interface Seen {
  readonly code: ErrorCode | null
  readonly passed: string
  readonly opaque: boolean
  readonly holding: boolean
}

function push(text: string, othersPass: boolean, size = text.length): Seen {
  const target = parseConnectTarget('api.test:8080')
  assert.ok(typeof target !== 'string')
  const clear = new ClearText(target, othersPass)
  let passed = ''
  let code: ErrorCode | null = null
  for (let at = 0; at < text.length && code === null; at += size) {
    const chunk = Buffer.from(text.slice(at, at + size), 'latin1')
    code = clear.push(chunk, (bytes) => {
      passed += bytes.toString('latin1')
    })
    // as a socket uses its memory again for the next chunk
    chunk.fill(0xee)
  }
  return { code, passed, opaque: clear.opaque, holding: clear.holding }
}

const shown = (text: string) => JSON.stringify(text.length > 60 ? text.slice(-60) : text)

describe('HTTP/1 in a tunnel without TLS', () => {
  /** The code, and what has gone on by then; a head is `held` until its end. */
  const table: readonly (readonly [
    text: string,
    code: ErrorCode | 'held' | null,
    passed?: string,
  ])[] = [
    [GOOD, null],
    ['GET / HTTP/1.0\r\n\r\n', null],
    [`OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, null],
    [`GET http://api.test:8080/x HTTP/1.1\r\n${HOST}\r\n`, null],
    [`GET HTTPS://api.test:8080?x HTTP/1.1\r\n${HOST}\r\n`, null],
    [`GET http://api.test:8080#x HTTP/1.1\r\n${HOST}\r\n`, null],
    [`CONNECT api.test:8080 HTTP/1.1\r\n${HOST}\r\n`, null],
    [`\r\n\r\n${GOOD}`, null],
    [`${GOOD}\r\n\r\n${GOOD}`, null],
    [`GET http://api.test/x HTTP/1.1\r\n${HOST}\r\n`, MISMATCH, 'GET http://api.test/x HTTP/1.1'],
    [`GET https://api.test HTTP/1.1\r\n${HOST}\r\n`, MISMATCH, 'GET https://api.test HTTP/1.1'],
    [`GET x HTTP/1.1\r\n${HOST}\r\n`, MISMATCH, 'GET x HTTP/1.1'],
    [
      `GET xhttp://api.test:8080/ HTTP/1.1\r\n${HOST}\r\n`,
      MISMATCH,
      'GET xhttp://api.test:8080/ HTTP/1.1',
    ],
    [
      `GET http://evil.test:8080/ HTTP/1.1\r\n${HOST}\r\n`,
      MISMATCH,
      'GET http://evil.test:8080/ HTTP/1.1',
    ],
    [`CONNECT api.test:81 HTTP/1.1\r\n${HOST}\r\n`, MISMATCH, 'CONNECT api.test:81 HTTP/1.1'],
    [`CONNECT evil.test:8080 HTTP/1.1\r\n${HOST}\r\n`, MISMATCH, 'CONNECT evil.test:8080 HTTP/1.1'],
    [`CONNECT api.test HTTP/1.1\r\n${HOST}\r\n`, MISMATCH, 'CONNECT api.test HTTP/1.1'],
    [EVIL, MISMATCH, 'GET / HTTP/1.1'],
    [GOOD + EVIL, MISMATCH, GOOD],
    [`GET / HTTP/1.1\r\n${HOST}Upgrade: x, H2C\r\n\r\n`, CLEARTEXT, 'GET / HTTP/1.1'],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', CLEARTEXT, 'PRI * HTTP/2.0'],
    [`GET / HTTP/1.1\n${HOST}\n`, MALFORMED, 'GET / HTTP/1.1'],
    ['GET / HTTP/1.1\r\nA: b\nC', MALFORMED, 'GET / HTTP/1.1'],
    ['GET / HTTP/1.1\r\nA: b\rC', MALFORMED, 'GET / HTTP/1.1'],
    ['GET / HTTP/1.1\r\nA: b\r', 'held', 'GET / HTTP/1.1'],
    ['GET / HTTP/1.1\r\nA: b\r\n', 'held', 'GET / HTTP/1.1'],
    ['GET / HTTP/1.1\r', 'held', 'GET / HTTP/1.1'],
    ['GET http:x\r\n', 'held', 'GET http:x'],
    ['get\x1c/\r\n', 'held', 'get\x1c/'],
    ['x HTTP/\r\n', 'held', 'x HTTP/'],
    [`${GOOD}\x01`, MALFORMED, GOOD],
    [`${GOOD}\r`, 'held', GOOD],
    [`${GOOD}GET`, 'held', GOOD],
    [`${POST}Content-Length: 3\r\n\r\nab`, null],
    [`${POST}Content-Length: 3\r\n\r\nabc${GOOD}`, null],
    [`${POST}Content-Length: 3\r\n\r\nabc${EVIL}`, MISMATCH, `${POST}Content-Length: 3\r\n\r\nabc`],
    [`${POST}Content-Length: 0\r\n\r\n${EVIL}`, MISMATCH, `${POST}Content-Length: 0\r\n\r\n`],
    [`${POST}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n${GOOD}`, null],
    [SOCKET + GOOD, null],
    [SOCKET + EVIL, MISMATCH, SOCKET],
    [`${SOCKET}\x81`, 'held', SOCKET],
    ...['\x83\x80', '\x8b\x80', '\x81\x05', '\x91\x80', '\xa1\x80', '\xb1\x80'].map(
      (frame) => [SOCKET + frame, MALFORMED, SOCKET] as const,
    ),
  ]
  for (const [text, code, passed = text] of table)
    it(`${shown(text)} ${code === null ? 'goes on' : code === 'held' ? 'waits' : `is ${code}`}`, () => {
      for (const othersPass of [true, false]) {
        const seen = push(text, othersPass)
        assert.equal(seen.code, code === 'held' ? null : code)
        assert.equal(seen.passed, passed)
        assert.equal(seen.opaque, false)
        if (code === null || code === 'held') assert.equal(seen.holding, code === 'held')
        // however it is cut, it comes to the same
        for (const size of [1, 2, 3, 7]) {
          const cut = push(text, othersPass, size)
          assert.deepEqual([cut.code, cut.passed], [seen.code, passed], `in pieces of ${size}`)
        }
      }
    })

  for (const frame of [
    '\x81\x80mask',
    '\x01\x80',
    '\x00\x80',
    '\x82\x85',
    '\x88\x80',
    '\x89\x80',
    '\x8a\x80',
    '\xc1\x80',
  ])
    it(`${JSON.stringify(frame)} after an upgrade ends the judging`, () => {
      for (const size of [1, 2, 1_000]) {
        const { code, passed, opaque, holding } = push(`${SOCKET}${frame}${EVIL}`, false, size)
        assert.deepEqual(
          [code, passed, opaque, holding],
          [null, `${SOCKET}${frame}${EVIL}`, true, false],
        )
      }
    })
})

describe('many heads in one chunk of a tunnel without TLS', () => {
  it('are judged without a copy for each', () => {
    const target = parseConnectTarget('api.test:8080')
    assert.ok(typeof target !== 'string')
    const clear = new ClearText(target, false)
    const chunk = Buffer.from(GOOD.repeat(1_000))
    let passed = 0
    const copies = countCalls(Buffer, ['concat', 'from'], () => {
      const code = clear.push(chunk, (bytes) => {
        passed += bytes.length
      })
      assert.equal(code, null)
    })
    assert.equal(passed, chunk.length)
    assert.ok(copies < 10, `${copies}`)
  })
})

describe('what begins a tunnel without TLS and is not HTTP/1', () => {
  for (const text of [
    'SSH-2.0-x\r\n',
    ' \r\nSSH-2.0-x\r\n',
    'EHLO x\n',
    'a1 /\r\n',
    'git-upload-pack /x\0host=y\0',
    '0032git-upload-pack /x\0host=y\0',
    '\0abc',
    '\x08a',
    '\x0ea',
    '\x1ba',
    '\x7fabc',
    '\x80a',
    '\xffabc',
    `${' '.repeat(1024)}SSH\r\n`,
    'a'.repeat(16_385),
  ])
    it(`${shown(text).slice(0, 40)} passes where others pass, whatever follows, and is refused elsewhere`, () => {
      for (const size of [1, 3, text.length]) {
        const open = push(text + EVIL, true, size)
        assert.deepEqual(
          [open.code, open.passed, open.opaque, open.holding],
          [null, text + EVIL, true, false],
        )
        const closed = push(text, false, size)
        assert.deepEqual([closed.code, closed.passed], [CLEARTEXT, ''])
      }
    })

  for (const text of ['SSH-2.0-x', 'a'.repeat(16_384), ' ', '\x1f', '\xa0\x85\t'])
    it(`${shown(text).slice(0, 40)} is not known yet`, () => {
      for (const othersPass of [true, false]) {
        const { code, passed, opaque, holding } = push(text, othersPass)
        assert.deepEqual([code, opaque], [null, false])
        assert.deepEqual([passed, holding], othersPass ? [text, false] : ['', true])
      }
    })

  for (const text of [
    `\n ${GOOD}`,
    ` ${GOOD}`,
    `\r${GOOD}`,
    `\x1c${GOOD}`,
    `\x85${GOOD}`,
    'git /x\0host=y\0',
    `GET /${'a'.repeat(16_384)}`,
    `GET  *${'a'.repeat(16_384)}`,
    `GET https:${'a'.repeat(16_384)}`,
    ' '.repeat(1_025),
  ])
    it(`${shown(text).slice(0, 40)} may be HTTP to a server, and is malformed`, () => {
      for (const othersPass of [true, false]) {
        assert.equal(push(text, othersPass).code, MALFORMED)
        assert.equal(push(text, othersPass).passed, '')
        assert.equal(push(text, othersPass, 5).code, MALFORMED)
      }
    })
})
