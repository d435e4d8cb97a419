/**
 * What Node and others take for HTTP and this port does not, in each of the three entry forms: 400, or 431 of what is too large, before any lookup, one record,
 * and the connection ends. The titles name what is tried.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Fixture, rawClient, refusalOf, sendRaw, type Upstream } from '../fixture.ts'
import { basic, setUp } from '../setup.ts'

const FORMS = ['connect', 'absolute', 'relay'] as const
type Form = (typeof FORMS)[number]

/** Header fields that no form takes; `AUTH` stands for the credential, without it that comes last. */
const FIELDS: readonly (readonly [what: string, lines: readonly string[]])[] = [
  ['a second Host that says the same', ['Host: HOST']],
  ['a second Host that says otherwise', ['Host: evil.test']],
  ['TE: gzip, chunked', ['Transfer-Encoding: gzip, chunked']],
  ['TE: chunked, gzip', ['Transfer-Encoding: chunked, gzip']],
  ['TE: chunked, chunked', ['Transfer-Encoding: chunked, chunked']],
  ['TE: identity', ['Transfer-Encoding: identity']],
  ['TE: xchunked', ['Transfer-Encoding: xchunked']],
  ['TE: "chunked"', ['Transfer-Encoding: "chunked"']],
  ['TE: chunked;q=1', ['Transfer-Encoding: chunked;q=1']],
  ['an empty TE', ['Transfer-Encoding:']],
  ['TE twice', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked']],
  ['TE with a space before the colon', ['Transfer-Encoding : chunked']],
  ['TE with a tab before the colon', ['Transfer-Encoding\t: chunked']],
  ['TE: \\x0bchunked', ['Transfer-Encoding: \x0bchunked']],
  ['TE: chunked\\x00', ['Transfer-Encoding: chunked\0']],
  ['TE with a byte beyond ASCII', ['Transfer-Encoding: \xa0chunked']],
  ['a TE that is folded', ['Transfer-Encoding:', ' chunked']],
  ['a TE folded behind another field', ['X: y', ' Transfer-Encoding: chunked']],
  ['CL and TE', ['Content-Length: 5', 'Transfer-Encoding: chunked']],
  ['TE and CL', ['Transfer-Encoding: chunked', 'Content-Length: 0']],
  ['two equal CLs', ['Content-Length: 5', 'Content-Length: 5']],
  ['two other CLs', ['Content-Length: 5', 'Content-Length: 0']],
  ['a CL that is a list', ['Content-Length: 5, 5']],
  ['CL: +5', ['Content-Length: +5']],
  ['CL: -5', ['Content-Length: -5']],
  ['CL: 0x5', ['Content-Length: 0x5']],
  ['CL: 5.0', ['Content-Length: 5.0']],
  ['CL: 1e1', ['Content-Length: 1e1']],
  ['CL: 5 5', ['Content-Length: 5 5']],
  ['an empty CL', ['Content-Length:']],
  ['a CL beyond what numbers hold', [`Content-Length: ${'9'.repeat(20)}`]],
  ['a CL in other digits', ['Content-Length: \xd9\xa5']],
  ['a CL with a space before the colon', ['Content-Length : 5']],
  ['a CL that is folded', ['Content-Length: 0', ' 5']],
  ['a field that is folded', ['X: y', ' z']],
  ['a field that is folded by a tab', ['X: y', '\tz']],
  ['a field without a colon', ['X']],
  ['a field without a name', [': y']],
  ['a name with a space', ['X Y: z']],
  ['a name with a NUL', ['X\0: y']],
  ['a name beyond ASCII', ['X\xe9: y']],
  ['a NUL in a value', ['X: a\0b']],
  ['a bare LF in a value', ['X: a\nTransfer-Encoding: chunked']],
  ['a bare CR in a value', ['X: a\rTransfer-Encoding: chunked']],
  ['DEL in a value', ['X: a\x7fb']],
  ['Connection: host', ['Connection: host']],
  ['Connection: close, Content-Length', ['Connection: close, Content-Length']],
  ['Connection: transfer-encoding', ['Connection: transfer-encoding']],
  ['two credentials', ['AUTH']],
  ['two Authorization fields', ['Authorization: Bearer a', 'Authorization: Bearer b']],
  ['two Upgrade fields', ['Upgrade: websocket', 'Upgrade: h2c']],
  ['an Expect of something else', ['Expect: 200-ok']],
]

/** What is larger than any form takes: 431. */
const TOO_LARGE: readonly (readonly [what: string, lines: readonly string[]])[] = [
  ['a flood of 2,503 fields', Array.from({ length: 2503 }, () => 'X:y')],
  ['100 fields too many', Array.from({ length: 200 }, (_, index) => `X-${index}: y`)],
  ['17 KiB of header', [`X: ${'y'.repeat(17_000)}`]],
]

/** What no form takes for a destination; it stands where the form has it. */
const AUTHORITIES: readonly (readonly [what: string, authority: string])[] = [
  ['a user', 'u@api.test:443'],
  ['a user and a password', 'u:p@api.test:443'],
  ['a host that ends in a user', 'api.test:443@evil.test'],
  ['%00', 'api.test%00:443'],
  ['%2e', 'api%2etest:443'],
  ['%40', 'u%40api.test:443'],
  ['a backslash', 'api.test\\@evil.test:443'],
  ['a zone id', '[fe80::1%25lo]:443'],
  ['a zone id that is not escaped', '[fe80::1%lo]:443'],
  ['brackets around a name', '[api.test]:443'],
  ['brackets around IPv4', '[127.0.0.1]:443'],
  ['IPv6 without brackets', '::1:443'],
  ['brackets that do not end', '[::1:443'],
  ['something behind the brackets', '[::1]x:443'],
  ['port 0', 'api.test:0'],
  ['port 65536', 'api.test:65536'],
  ['port 00443', 'api.test:00443'],
  ['port +443', 'api.test:+443'],
  ['port -1', 'api.test:-1'],
  ['port 0x1bb', 'api.test:0x1bb'],
  ['an empty port', 'api.test:'],
  ['two ports', 'api.test:443:443'],
  ['a port of letters', 'api.test:https'],
  ['no host', ':443'],
  ['a host that is one dot', '.:443'],
  ['two trailing dots', 'api.test..:443'],
  ['a leading dot', '.api.test:443'],
  ['an empty label', 'api..test:443'],
  ['a soft hyphen', 'a\xc2\xadpi.test:443'],
  ['a soft hyphen that is no UTF-8', 'a\xadpi.test:443'],
  ['a zero-width space', 'a\xe2\x80\x8bpi.test:443'],
  ['letters of full width', '\xef\xbd\x81pi.test:443'],
  ['an ideographic full stop', 'api\xe3\x80\x82test:443'],
  ['punycode that decodes to nothing', 'xn--a.test:443'],
  ['punycode of what needs none', 'xn--api-.test:443'],
  ['a wildcard', '*.test:443'],
  ['a hyphen at the end of a label', 'api-.test:443'],
  ['a label of 64', `${'a'.repeat(64)}.test:443`],
  ['a name of 260', `${'a.'.repeat(128)}test:443`],
  ['a comma', 'api.test,evil.test:443'],
  ['a semicolon', 'api.test;evil.test:443'],
  ['quotes', '"api.test":443'],
  ['a brace', 'api.test{:443'],
  ['1.2.3.4.5', '1.2.3.4.5:443'],
  ['an octet of 256', '127.0.0.256:443'],
  ['an octal octet with an 8', '08.8.8.8:443'],
  ['a number beyond IPv4', '4294967296:443'],
  ['a name that ends in a number', 'api.1:443'],
  ['a name that ends in hexadecimal', 'api.0x7f:443'],
  ['IPv4 with an empty part', '127..1:443'],
]

/** Start lines, whole. */
const START_LINES: readonly (readonly [what: string, line: string, form: Form])[] = [
  ['HTTP/0.9', 'GET http://HOST/', 'absolute'],
  ['HTTP/0.9 in relay form', 'GET /', 'relay'],
  ['HTTP/0.9 for a tunnel', 'CONNECT HOST', 'connect'],
  ['HTTP/1.2', 'GET http://HOST/ HTTP/1.2', 'absolute'],
  ['HTTP/2.0', 'GET http://HOST/ HTTP/2.0', 'absolute'],
  ['http/1.1 in small letters', 'GET http://HOST/ http/1.1', 'absolute'],
  ['HTTP/01.1', 'GET / HTTP/01.1', 'relay'],
  ['HTTP/1.1 with something behind it', 'GET / HTTP/1.1 x', 'relay'],
  ['two spaces before the target', 'GET  / HTTP/1.1', 'relay'],
  ['two spaces before the version', 'GET http://HOST/  HTTP/1.1', 'absolute'],
  ['two spaces in CONNECT', 'CONNECT  HOST HTTP/1.1', 'connect'],
  ['tabs for spaces', 'GET\thttp://HOST/\tHTTP/1.1', 'absolute'],
  ['a space in the target', 'GET http://HOST/a b HTTP/1.1', 'absolute'],
  ['a tab in the host', 'CONNECT api\t.test:443 HTTP/1.1', 'connect'],
  ['a NUL in the target', 'GET /\0 HTTP/1.1', 'relay'],
  ['a bare CR in the target', 'GET /\rX HTTP/1.1', 'relay'],
  ['a bare LF after the start line', 'GET / HTTP/1.1\nX: y', 'relay'],
  ['a method that is none', 'GE(T / HTTP/1.1', 'relay'],
  ['a method without end', `${'G'.repeat(40)} / HTTP/1.1`, 'relay'],
  ['no method', ' / HTTP/1.1', 'relay'],
  ['a fragment', 'GET http://HOST/#f HTTP/1.1', 'absolute'],
  ['a fragment without a path', 'GET http://HOST#@evil.test/ HTTP/1.1', 'absolute'],
  ['a fragment in relay form', 'GET /#f HTTP/1.1', 'relay'],
  ['a fragment behind a query', 'GET /?q#f HTTP/1.1', 'relay'],
  ['ftp://', 'GET ftp://HOST/ HTTP/1.1', 'absolute'],
  ['gopher://', 'GET gopher://HOST/ HTTP/1.1', 'absolute'],
  ['file://', 'GET file:///etc/passwd HTTP/1.1', 'absolute'],
  ['http:/ with one slash', 'GET http:/HOST/ HTTP/1.1', 'absolute'],
  ['http:// and three slashes', 'GET http:///HOST/ HTTP/1.1', 'absolute'],
  ['a host without a scheme', 'GET HOST/ HTTP/1.1', 'absolute'],
  ['OPTIONS * for elsewhere', 'OPTIONS * HTTP/1.1', 'relay'],
  ['CONNECT with a path', 'CONNECT HOST/x HTTP/1.1', 'connect'],
  ['CONNECT with a slash', 'CONNECT HOST/ HTTP/1.1', 'connect'],
  ['CONNECT with a query', 'CONNECT HOST?q HTTP/1.1', 'connect'],
  ['CONNECT with a fragment', 'CONNECT HOST#f HTTP/1.1', 'connect'],
  ['CONNECT with a scheme', 'CONNECT http://HOST HTTP/1.1', 'connect'],
  ['CONNECT to a path', 'CONNECT / HTTP/1.1', 'connect'],
  ['CONNECT to *', 'CONNECT * HTTP/1.1', 'connect'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0', 'relay'],
]

const startLine = (form: Form, authority: string, method = 'POST', version = '1.1') =>
  form === 'connect'
    ? `CONNECT ${authority} HTTP/${version}`
    : `${method} ${form === 'absolute' ? `http://${authority}` : ''}/ HTTP/${version}`

describe('what is refused in every entry form', () => {
  const setup = setUp()
  let egress: Fixture
  let upstream: Upstream
  let host: string
  let auth: string
  const reached: string[] = []

  before(async () => {
    upstream = await setup.upstream((socket) => {
      socket.on('data', (data: Buffer) => {
        reached.push(data.toString('latin1'))
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      })
      socket.on('end', () => socket.end())
    })
    host = `api.test:${upstream.port}`
    egress = await setup.egress(upstream.port, {
      // what gets past the syntax is let through, and shows itself by a lookup
      egress: { allow: [{ host, scheme: 'http' }], agents: { 'bot-01': { mode: 'audit' } } },
    })
    auth = basic(await egress.token({ destinations: [host] })).trimEnd()
  })
  after(setup.close)

  /** `HOST` and `AUTH` in the lines stand for the good ones. */
  async function assertRefused(
    lines: readonly string[],
    status = 400,
    code = 'MESH_EGRESS_MALFORMED',
  ): Promise<void> {
    const records = egress.records.length
    egress.asked.length = 0
    reached.length = 0
    const text = [...lines, '', ''].join('\r\n').replaceAll('HOST', host).replaceAll('AUTH', auth)
    const body = '5\r\nhello\r\n0\r\n\r\nGET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n'
    const answer = await sendRaw(egress.number, text + body)
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} [\\s\\S]*\\r\\nconnection: close\\r\\n`))
    assert.equal(answer.match(/HTTP\/1\.1 /g)?.length, 1, answer)
    assert.deepEqual(reached, [])
    assert.deepEqual(egress.asked, [])
    assert.equal(egress.records.length, records + 1)
    const record = egress.records.at(-1)
    assert.deepEqual(
      [record?.status, record?.reason, record?.action_allowed, record?.destination_ip],
      [status, code, false, null],
    )
    const refusal = refusalOf(answer)
    assert.deepEqual([refusal.code, refusal.gate], [code, 'syntax'])
    assert.equal(refusal.request_id, record?.request_id)
  }

  for (const form of FORMS) {
    it(`in ${form} form is refused at once when its lines end with LF alone`, async () => {
      const lines = [startLine(form, host, 'GET'), `Host: ${host}`, auth, '', '']
      const answer = await sendRaw(egress.number, lines.join('\n'))
      assert.match(answer, /^HTTP\/1\.1 400 /)
      assert.equal(refusalOf(answer).reason, 'a line of the head ends without CR')
    })

    it(`in ${form} form what is well formed passes`, async () => {
      const records = egress.records.length
      const client = await rawClient(egress.number)
      client.send(
        `${startLine(form, host, 'GET')}\r\nHost: ${host}\r\n${auth}\r\n\r\n${form === 'connect' ? 'x' : ''}`,
      )
      assert.match(await client.until((text) => text.endsWith('ok')), /^HTTP\/1\.1 200 /)
      client.socket.destroy()
      await egress.record(records)
    })

    for (const [what, lines] of FIELDS)
      it(`${what}, in ${form} form`, () =>
        assertRefused([startLine(form, host), 'Host: HOST', 'AUTH', ...lines]))

    for (const [what, lines] of TOO_LARGE)
      it(`${what}, in ${form} form: 431`, () =>
        assertRefused(
          [startLine(form, host), 'Host: HOST', ...lines, 'AUTH'],
          431,
          'MESH_EGRESS_HEAD_TOO_LARGE',
        ))

    for (const [what, authority] of AUTHORITIES)
      it(`${what} as destination, in ${form} form`, () =>
        assertRefused([startLine(form, authority), `Host: ${authority}`, 'AUTH']))

    it(`no Host, in ${form} form`, () => assertRefused([startLine(form, host), 'AUTH']))
    it(`an empty Host, in ${form} form`, () =>
      assertRefused([startLine(form, host), 'Host:', 'AUTH']))
    it(`chunked on HTTP/1.0, in ${form} form`, () =>
      assertRefused([
        startLine(form, host, 'POST', '1.0'),
        'Host: HOST',
        'AUTH',
        'Transfer-Encoding: chunked',
      ]))
    it(`white space before the first field, in ${form} form`, () =>
      assertRefused([startLine(form, host), ' Host: evil.test', 'Host: HOST', 'AUTH']))
    if (form === 'relay') continue

    for (const [what, other] of [
      ['another host', 'evil.test'],
      ['another port', 'api.test:1'],
      ['a user', 'u@HOST'],
      ['a path', 'HOST/'],
      ['two hosts', 'HOST, evil.test'],
      ['nothing that a host is', '%'],
    ] as const)
      it(`a Host that names ${what}, in ${form} form`, () =>
        assertRefused([startLine(form, host), `Host: ${other}`, 'AUTH']))
  }

  for (const [what, line, form] of START_LINES)
    it(`${what}, as ${form} form has it`, () => assertRefused([line, 'Host: HOST', 'AUTH']))

  for (const [what, field] of [
    ['a length', 'Content-Length: 5'],
    ['chunks', 'Transfer-Encoding: chunked'],
  ] as const)
    it(`CONNECT with a body of ${what}`, () =>
      assertRefused([startLine('connect', host), 'Host: HOST', 'AUTH', field]))

  it('CONNECT without a port', () =>
    assertRefused(['CONNECT api.test HTTP/1.1', 'Host: api.test', 'AUTH']))

  it('two empty lines before a request, where one is forgiven', async () => {
    const request = `${startLine('absolute', host, 'GET')}\r\nHost: ${host}\r\n${auth}\r\nConnection: close\r\n\r\n`
    assert.match(await sendRaw(egress.number, `\r\n${request}`), /^HTTP\/1\.1 200 /)
    assert.match(await sendRaw(egress.number, `\r\n\r\n${request}`), /^HTTP\/1\.1 400 /)
    const client = await rawClient(egress.number)
    client.socket.setNoDelay(true)
    for (const piece of ['\r\n', '\r\n', request]) {
      client.send(piece)
      await sleep(20)
    }
    assert.match(await client.rest(), /^HTTP\/1\.1 400 /)
    client.socket.destroy()
  })
})

describe('a body that two readers could end at different places', () => {
  const setup = setUp()
  afterEach(setup.close)
  const POISON = 'GET /poison HTTP/1.1\r\nHost: evil.test\r\n\r\n'

  for (const form of ['absolute', 'relay'] as const)
    for (const [what, body] of [
      ['a chunk size of 0x5', '0x5\r\nhello\r\n0\r\n\r\n'],
      ['a chunk size of +5', '+5\r\nhello\r\n0\r\n\r\n'],
      ['a chunk size of -5', '-5\r\nhello\r\n0\r\n\r\n'],
      ['a chunk size with a space before it', ' 5\r\nhello\r\n0\r\n\r\n'],
      ['a chunk size with a word behind it', '5 hello\r\nhello\r\n0\r\n\r\n'],
      ['a chunk size that is empty', '\r\nhello\r\n0\r\n\r\n'],
      ['a chunk size beyond what numbers hold', `${'f'.repeat(17)}\r\nhello\r\n0\r\n\r\n`],
      ['a chunk longer than its size', `3\r\nhello\r\n0\r\n\r\n`],
      ['a chunk without an end of line', `5\r\nhello0\r\n\r\n`],
      ['a chunk line that ends in a bare LF', '5\nhello\r\n0\r\n\r\n'],
      ['chunk data that ends in a bare LF', '5\r\nhello\n0\r\n\r\n'],
      ['a bare CR in an extension', '5;a\rb\r\nhello\r\n0\r\n\r\n'],
      ['a NUL in an extension', '5;a\0b\r\nhello\r\n0\r\n\r\n'],
      ['an extension without end', `5;${'a'.repeat(5000)}\r\nhello\r\n0\r\n\r\n`],
      ['a last chunk that ends in a bare LF', '5\r\nhello\r\n0\n\r\n'],
      ['a trailer without a colon', '0\r\nX\r\n\r\n'],
      ['a trailer with a space before its colon', '0\r\nX : y\r\n\r\n'],
      ['a trailer that is folded', '0\r\nX: y\r\n z\r\n\r\n'],
      ['a trailer that ends in a bare LF', '0\r\nX: y\n\r\n'],
      ['a trailer with a NUL', '0\r\nX: a\0b\r\n\r\n'],
      ['trailers without end', `0\r\n${'X: y\r\n'.repeat(3000)}\r\n`],
      ['more trailers than fit', `0\r\n${'X: y\r\n'.repeat(40)}\r\n`],
    ] as const)
      it(`${what}, in ${form} form: 400, and what stands behind it is no request`, async () => {
        const reached: string[] = []
        const upstream = await setup.upstream((socket) => {
          socket.on('data', (data: Buffer) => reached.push(data.toString('latin1')))
        })
        const host = `api.test:${upstream.port}`
        const egress = await setup.egress(upstream.port, {
          egress: { allow: [{ host, scheme: 'http' }] },
        })
        const auth = basic(await egress.token({ destinations: [host] }))
        const head = `${startLine(form, host)}\r\nHost: ${host}\r\n${auth}Transfer-Encoding: chunked\r\n\r\n`
        const answer = await sendRaw(egress.number, head + body + POISON)
        assert.match(answer, /^HTTP\/1\.1 400 [\s\S]*MESH_EGRESS_MALFORMED/)
        assert.equal(answer.match(/HTTP\/1\.1 /g)?.length, 1)
        assert.doesNotMatch(reached.join(''), /poison/)
        assert.equal(egress.records.length, 1)
      })

  it('extensions go no further, and neither do trailers that would frame or redirect it', async () => {
    let got = ''
    const upstream = await setup.upstream((socket) => {
      socket.on('data', (data: Buffer) => {
        got += data.toString('latin1')
        if (/0\r\n(?:[^\r]+\r\n)*\r\n$/.test(got))
          socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
      })
    })
    const host = `api.test:${upstream.port}`
    const egress = await setup.egress(upstream.port)
    const auth = basic(await egress.token({ destinations: [host] }))
    const trailers = [
      'Transfer-Encoding: chunked',
      'Content-Length: 3',
      'Host: evil.test',
      'Authorization: Bearer x',
      'Proxy-Authorization: Bearer x',
      'Connection: keep-alive',
      'X-Mesh-Caller: x',
      'X-Checksum: kept',
    ]
    const answer = await sendRaw(
      egress.number,
      `${startLine('absolute', host)}\r\nHost: ${host}\r\n${auth}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n5;ext="a;b"\r\nhello\r\n0;last\r\n${trailers.join('\r\n')}\r\n\r\n`,
    )
    assert.match(answer, /^HTTP\/1\.1 200 /)
    assert.equal(
      got.slice(got.indexOf('\r\n\r\n') + 4),
      '5\r\nhello\r\n0\r\nX-Checksum: kept\r\n\r\n',
    )
  })

  it('that is shorter than it says is refused when the client ends it', async () => {
    const upstream = await setup.upstream((socket) => socket.resume())
    const egress = await setup.egress(upstream.port)
    const auth = basic(await egress.token({ destinations: [`api.test:${upstream.port}`] }))
    const client = await rawClient(egress.number)
    client.send(
      `${startLine('absolute', `api.test:${upstream.port}`)}\r\nHost: api.test:${upstream.port}\r\n${auth}Content-Length: 9\r\n\r\nx`,
    )
    client.socket.end()
    assert.match(await client.rest(), /^HTTP\/1\.1 400 [\s\S]*shorter than it says/)
    assert.equal(egress.records.length, 1)
  })
})

describe('every spelling of an address', () => {
  const setup = setUp()
  afterEach(setup.close)

  for (const form of ['connect', 'absolute'] as const)
    for (const spelling of [
      '127.1',
      '127.0.1',
      '2130706433',
      '0x7f000001',
      '0x7F.1',
      '0177.0.0.1',
      '017700000001',
      '127.0.0.1.',
      '[::ffff:127.0.0.1]',
      '[::FFFF:7F00:1]',
      '[0:0:0:0:0:ffff:7f00:0001]',
    ])
      it(`${spelling} is 127.0.0.1 in ${form} form: judged as that, and never looked up`, async () => {
        const egress = await setup.egress(443, {
          egress: { allow: ['127.0.0.1'] },
          global: { allowCidrs: [] },
        })
        const auth = basic(await egress.token({ destinations: ['127.0.0.1'] }))
        const answer = await sendRaw(
          egress.number,
          `${startLine(form, `${spelling}:443`, 'GET')}\r\nHost: ${spelling}:443\r\n${auth}Connection: close\r\n\r\n`,
        )
        assert.match(answer, /^HTTP\/1\.1 403 [\s\S]*MESH_EGRESS_ADDRESS_REFUSED/)
        assert.equal((await egress.record(0)).destination_host, '127.0.0.1')
        assert.deepEqual(egress.asked, [])
      })

  for (const spelling of ['API.TEST', 'api.test.', 'Api.Test.'])
    it(`${spelling} is api.test in every form, and looked up as that alone`, async () => {
      const { port } = await setup.http((request, response) => response.end(request.headers.host))
      const host = `api.test:${port}`
      const egress = await setup.egress(port, { egress: { allow: [{ host, scheme: 'http' }] } })
      const auth = basic(await egress.token({ destinations: [host] }))
      for (const form of ['absolute', 'relay'] as const) {
        const head = `${startLine(form, `${spelling}:${port}`, 'GET')}\r\nHost: ${spelling}:${port}\r\n${auth}Connection: close\r\n\r\n`
        const answer = await sendRaw(egress.number, head)
        assert.match(answer, new RegExp(`^HTTP/1\\.1 200 [\\s\\S]*\\r\\n\\r\\n.*${host}`))
      }
      const client = await rawClient(egress.number)
      client.send(
        `${startLine('connect', `${spelling}:${port}`)}\r\nHost: ${spelling}:${port}\r\n${auth}\r\n`,
      )
      await client.until((text) => text.includes('200 Connection established'))
      client.socket.destroy()
      assert.deepEqual(new Set(egress.asked), new Set(['api.test']))
    })
})
