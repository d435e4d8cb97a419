/**
 * What fuzzing throws at the egress port, and what must hold whatever comes. The tests do a bounded number of cases
 * (fuzz.test.ts), the campaign `egress input` of `npm run test:security` as many as there is time for.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import fc from 'fast-check'
import { judgeFirstBytes } from '../../../mesh-gateway/src/egress/carry/judge-first-bytes.ts'
import { createBodyDecoder } from '../../../mesh-gateway/src/egress/http1/body-decoder.ts'
import { findHeadEnd, RESPONSE_LIMITS } from '../../../mesh-gateway/src/egress/http1/head.ts'
import { parseResponseHead } from '../../../mesh-gateway/src/egress/http1/response-head.ts'
import {
  formatAuthority,
  hostHeaderMatches,
  parseAbsoluteTarget,
  parseConnectTarget,
  parseRelayTarget,
} from '../../../mesh-gateway/src/egress/request.ts'
import { canonicalHost } from '../../../mesh-gateway/src/net/host.ts'
import { anyText } from '../../support/any-text.ts'
import { listenOnFreePort } from '../../support/http-origin.ts'
import { waitFor } from '../../support/wait-for.ts'
import { captureHello } from './capture-hello.ts'
import { sendRaw, startUpstream } from './fixture.ts'
import { clearText } from './fuzz-clear-text.ts'
import { proxyHeaders } from './fuzz-proxy-headers.ts'
import type { FuzzTarget } from './fuzz-target.ts'
import { basic, connectTo, get, setUp } from './setup.ts'

const PIECES = [
  ...[
    '.',
    '-',
    '_',
    ':',
    '@',
    '%',
    '/',
    '\\\\',
    '[',
    ']',
    '?',
    '#',
    ' ',
    '\0',
    '\t',
    '\r\n',
    '\n',
    ',',
  ],
  ...['xn--', 'xn--mgba3a4f16a', '0x7f', '127', '1', '017700000001', '2130706433', 'localhost'],
  ...[
    '::',
    '::1',
    '::ffff:',
    '64:ff9b::',
    'fe80::1%25lo',
    '255',
    '256',
    '65535',
    '65536',
    '443',
    '0',
  ],
  ...[
    'api.test',
    'API.Test',
    'evil.test',
    'b\u00fccher',
    '\u00ad',
    '\u3002',
    '\uff0e',
    '\u0131',
    'ss',
    '\u00df',
    '\ud800',
  ],
  ...['..', '%2e', '%2f', '%252f', '%00', 'http://', 'https://', 'ftp://'],
]
const text = fc.oneof(
  fc.array(fc.constantFrom(...PIECES), { maxLength: 8 }).map((pieces) => pieces.join('')),
  anyText({ maxLength: 40 }),
  fc.domain(),
  fc.ipV4Extended(),
  fc.ipV6().map((ip) => `[${ip}]`),
)
export const edits = fc.array(
  fc.record({
    at: fc.nat(1000),
    drop: fc.nat(6),
    insert: fc.constantFrom(
      ...['', '\r\n', '\n', '\r', '\0', ' ', ':', ',', '\t', '\x80', '\xff', '%', '@', '#'],
      ...[
        'chunked',
        'Transfer-Encoding: chunked\r\n',
        'Content-Length: 3\r\n',
        'Content-Length: 0\r\n',
      ],
      ...[
        'Host: evil.test\r\n',
        'Connection: host\r\n',
        'Upgrade: h2c\r\n',
        'Expect: 100-continue\r\n',
      ],
      ...[
        '\r\n\r\n',
        '0\r\n\r\n',
        '5\r\nhello\r\n',
        ';',
        'GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n',
        'HTTP/1.0',
      ],
    ),
  }),
  { minLength: 1, maxLength: 4 },
)

/** Of what is looked at often. A record that never comes is a promise that broke. */
const FAST = { withinMs: 5_000, everyMs: 1 }

export type Edit = { at: number; drop: number; insert: string }

export function edited(seed: string, list: readonly Edit[]): string {
  let result = seed
  for (const { at, drop, insert } of list) {
    const from = at % (result.length + 1)
    result = result.slice(0, from) + insert + result.slice(from + drop)
  }
  return result
}

const canonicaliser: FuzzTarget = {
  name: 'every host has one canonical form or none, and it is the one that URL parsers reach',
  runs: 2000,
  async run(parameters) {
    fc.assert(
      fc.property(text, (input) => {
        const host = canonicalHost(input)
        if (typeof host === 'string') return
        assert.match(host.name, /^[a-z0-9._:-]+$/)
        const again = host.name.includes(':') ? `[${host.name}]` : host.name
        assert.deepEqual(canonicalHost(again), host)
        const url = URL.parse(`http://${input}/`)
        // parsers that take it as well must not go elsewhere; IPv4-mapped IPv6 is the IPv4 address to us
        if (url !== null && !url.hostname.startsWith('[::ffff:'))
          assert.equal(url.hostname.replace(/\.$/, ''), again)
      }),
      parameters,
    )
  },
}

const targets: FuzzTarget = {
  name: 'no target throws, and what is read is written so that it is read the same',
  runs: 2000,
  async run(parameters) {
    fc.assert(
      fc.property(text, text, (one, two) => {
        for (const target of [
          parseConnectTarget(one),
          parseAbsoluteTarget(`http://${one}/${two}`),
          parseRelayTarget(`/${two}`, one),
        ]) {
          if (typeof target === 'string') continue
          assert.ok(target.port > 0 && target.port < 65_536)
          const authority = formatAuthority(target.host, target.port)
          assert.equal(hostHeaderMatches(authority, target), true)
          const again = parseConnectTarget(authority)
          assert.ok(typeof again !== 'string' && again.host === target.host)
          if (target.path !== null) assert.match(target.path, /^\/[^#?]*$/)
        }
      }),
      parameters,
    )
  },
}

const hello: FuzzTarget = {
  name: 'a ClientHello, however it is bent, passes only when it names the host',
  runs: 2000,
  async run(parameters) {
    const seed = await captureHello({ servername: 'api.example.com' })
    const target = parseConnectTarget('evil.example.com:443')
    assert.ok(typeof target !== 'string')
    const rules = {
      ports: new Set([443]),
      noServerName: 'by-rule' as const,
      echOuterNames: new Set<string>(),
      withoutEch: false,
      clearText: 'other' as const,
    }
    const changes = fc.array(fc.tuple(fc.nat(seed.length), fc.nat(255)), { maxLength: 4 })
    fc.assert(
      fc.property(changes, fc.nat(seed.length), (list, cut) => {
        const bytes = Buffer.from(seed.subarray(0, cut % 3 === 0 ? cut : seed.length))
        for (const [at, value] of list) if (at < bytes.length) bytes[at] = value
        const verdict = judgeFirstBytes(bytes, target, rules, false)
        assert.ok(
          ['more', 'MESH_EGRESS_SNI_MISMATCH', 'MESH_EGRESS_NOT_TLS'].includes(verdict),
          verdict,
        )
      }),
      parameters,
    )
  },
}

const requests: FuzzTarget = {
  name: 'whatever bytes a client sends: as many requests arrive as records tell of, none elsewhere, no credential',
  runs: 150,
  async run(parameters) {
    const setup = setUp()
    const seen: string[] = []
    // a lenient reader: what it takes for a request, some server somewhere will too
    const server = createServer({ insecureHTTPParser: true }, (request, response) => {
      seen.push(JSON.stringify([request.headers, request.rawTrailers]))
      request.resume()
      request.on('end', () => response.end('ok'))
      request.on('error', () => {})
    })
    server.on('clientError', (_, socket) => socket.destroy())
    let open = 0
    server.on('connection', (socket) => {
      open += 1
      socket.once('close', () => {
        open -= 1
      })
    })
    const port = await listenOnFreePort(server)
    try {
      const host = `api.test:${port}`
      const egress = await setup.egress(port, {
        egress: { allow: [{ host, scheme: 'http' }] },
        port: {
          timeouts: { headerMs: 15, keepAliveMs: 15, idleMs: 40, answerMs: 40, upstreamIdleMs: 5 },
        },
      })
      const token = await egress.token({ destinations: [host] })
      const auth = basic(token)
      const body = 'Content-Length: 5\r\n'
      const seeds = [
        `${get(port, auth + body, '/a', 'POST')}hello`,
        `${get(port, `${auth}Transfer-Encoding: chunked\r\n`, '/a', 'POST')}5\r\nhello\r\n0\r\n\r\n`,
        `POST /a HTTP/1.1\r\nHost: ${host}\r\n${auth}${body}\r\nhello`,
        `${connectTo(port, auth)}GET /a HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      ]
      const tunnel = () => egress.records.some((record) => record.method === 'CONNECT')
      // a body that goes wrong half-way is a refusal, of a request that has partly arrived
      const told = () => egress.records.filter((record) => record.destination_ip !== null).length
      // the last bytes of a tunnel, after which its destination resets it: its record follows the client's end
      const afterTheEnd: [number, Edit[]] = [
        3,
        [{ at: (seeds[3] ?? '').length, drop: 0, insert: 'Upgrade: h2c\r\n' }],
      ]
      await fc.assert(
        fc.asyncProperty(fc.nat(seeds.length - 1), edits, async (which, list) => {
          seen.length = 0
          egress.records.length = 0
          const answer = await sendRaw(egress.number, edited(seeds[which] ?? '', list))
          assert.match(answer, /^(?:HTTP\/1\.1 \d{3} |$)/)
          await waitFor('the end of what was sent', () => open === 0, FAST)
          // a record is written when its exchange has ended on both sides, which the client does not see
          if (seen.length > 0)
            await waitFor(
              `records of the ${seen.length} that arrived`,
              () => tunnel() || seen.length <= told(),
              FAST,
            )
          for (const headers of seen) {
            assert.equal(headers.includes(token), false)
            if (!tunnel()) assert.match(headers, new RegExp(`"host":"api\\.test:${port}"`))
          }
          for (const asked of egress.asked) assert.equal(asked, 'api.test')
        }),
        { ...parameters, examples: [afterTheEnd] },
      )
    } finally {
      await setup.close()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
  },
}

const responses: FuzzTarget = {
  name: 'whatever bytes a destination answers: the client gets one whole answer, a refusal, or a reset',
  runs: 150,
  async run(parameters) {
    const setup = setUp()
    let answer = ''
    const upstream = await startUpstream((socket) => {
      socket.once('data', () => socket.end(answer, 'latin1'))
    })
    try {
      const { port } = upstream
      const egress = await setup.egress(port, { port: { timeouts: { idleMs: 40, answerMs: 40 } } })
      const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
      const seeds = [
        'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello',
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
        'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n',
        'HTTP/1.0 200 OK\r\n\r\nhello',
      ]
      await fc.assert(
        fc.asyncProperty(fc.nat(seeds.length - 1), edits, async (which, list) => {
          answer = edited(seeds[which] ?? '', list)
          const got = await sendRaw(egress.number, get(port, `${auth}Connection: close\r\n`))
          assertOneAnswer(Buffer.from(got, 'latin1'))
        }),
        parameters,
      )
    } finally {
      await setup.close()
      await upstream.close()
    }
  },
}

/** Read as strictly as the port itself reads: interim answers, then one, and not a byte behind it. */
function assertOneAnswer(bytes: Buffer): void {
  let rest = bytes
  while (rest.length > 0) {
    const end = findHeadEnd(rest, RESPONSE_LIMITS)
    assert.notEqual(end, -1, 'a head is cut short')
    const head = parseResponseHead(rest.subarray(0, end), 'GET')
    rest = rest.subarray(end)
    if (head.status < 200) continue
    const decoder = createBodyDecoder(head.body, () => {})
    const taken = decoder.push(rest)
    assert.equal(taken, rest.length, 'bytes stand behind the answer')
    return
  }
}

export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  canonicaliser,
  targets,
  hello,
  clearText,
  requests,
  responses,
  proxyHeaders,
]
