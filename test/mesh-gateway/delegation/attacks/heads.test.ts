import assert from 'node:assert/strict'
import type { Header, RawSide } from '../../../support/raw-http2.ts'
import * as h2 from '../../../support/raw-http2.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { echo } from '../fixture.ts'
import { type Battlefield, callHead, openBattlefield } from './battlefield.ts'

/** What became of a call: the reason in its audit line, or that the stream was reset before there was a call. */
type End = { readonly reset: number } | { readonly reason: string | null }

describe('heads of calls that no library would send', () => {
  let field: Battlefield
  let side: RawSide
  let name: string
  let next = 1
  let seen: readonly string[] = []

  before(async () => {
    field = await openBattlefield({ guard: { headerBytes: 8_192 } })
    const peer = await field.mesh.peer('victim', (stream, headers) => {
      seen = headers
      echo(stream)
    })
    name = peer.name
    side = await field.attack()
  })
  after(() => field.close())
  afterEach(() => field.unharmed())

  /** Makes a call with the head, on one connection for all of them. */
  async function send(head: readonly Header[], ...more: ((id: number) => Buffer)[]): Promise<End> {
    const id = next
    next += 2
    field.mesh.records.length = 0
    seen = []
    const { END_HEADERS, END_STREAM } = h2.FLAG
    const frames = more.map((make) => make(id))
    const flags = frames.length > 0 ? END_HEADERS : END_HEADERS | END_STREAM
    assert.equal(await side.send(h2.headersFrame(id, head, flags), ...frames), true)
    return await waitFor('an end', () => {
      const record = field.mesh.records.find((one) => one.tenant === 'acme')
      if (record !== undefined) return { reason: record.reason }
      const reset = side.frames.find((got) => got.type === h2.FRAME.RST_STREAM && got.stream === id)
      return reset === undefined ? null : { reset: h2.codeOf(reset) }
    })
  }
  const value = (key: string) =>
    seen.flatMap((item, i) => (i % 2 === 0 && item === key ? [seen[i + 1]] : []))

  it('resets what HTTP/2 forbids before it is a call, and the connection lives on', async () => {
    const head = callHead(name)
    const swapped = (at: number, header: Header) => head.with(at, header)
    const forbidden: Record<string, readonly Header[]> = {
      ':path twice': [[':path', '/a.B/C'], ...head],
      ':method twice': [[':method', 'POST'], ...head],
      ':authority twice': [[':authority', name], ...head],
      'pseudo-header after a regular one': [['a', 'b'], ...head],
      'unknown pseudo-header': [[':evil', 'x'], ...head],
      ':status in a request': [[':status', '200'], ...head],
      'no :scheme': head.toSpliced(1, 1),
      'no :path': head.toSpliced(2, 1),
      'empty :path': swapped(2, [':path', '']),
      ':path of *': swapped(2, [':path', '*']),
      'upper case': [...head, ['X-Mesh-Caller', 'x']],
      connection: [...head, ['connection', 'close']],
      'keep-alive': [...head, ['keep-alive', '1']],
      'proxy-connection': [...head, ['proxy-connection', 'x']],
      'transfer-encoding': [...head, ['transfer-encoding', 'chunked']],
      upgrade: [...head, ['upgrade', 'h2c']],
      'te other than trailers': [...head, ['te', 'gzip']],
      'two lengths': [...head, ['content-length', '1'], ['content-length', '2']],
      'no number as length': [...head, ['content-length', '-1']],
      'userinfo in :authority': swapped(3, [':authority', `root@${name}`]),
      'CONNECT with a path': swapped(0, [':method', 'CONNECT']),
      'extended CONNECT': [[':protocol', 'websocket'], ...swapped(0, [':method', 'CONNECT'])],
    }
    for (const [what, headers] of Object.entries(forbidden))
      assert.deepEqual(await send(headers), { reset: h2.ERROR.PROTOCOL }, what)
  })

  it('refuses targets that can be read in two ways, and names of others, each with an audit line', async () => {
    const cases: Record<string, string> = {
      [`${name}:0`]: 'MESH_ROUTE_MALFORMED',
      [`${name}:65536`]: 'MESH_ROUTE_MALFORMED',
      [`${name}:443:443`]: 'MESH_ROUTE_MALFORMED',
      [`${name}:`]: 'MESH_ROUTE_MALFORMED',
      [`${name}:+443`]: 'MESH_ROUTE_MALFORMED',
      [`${name}.`]: 'MESH_ROUTE_UNKNOWN',
      '[::1]:7443': 'MESH_ROUTE_MALFORMED',
      '127.0.0.1:7443': 'MESH_ROUTE_UNKNOWN',
      '2130706433': 'MESH_ROUTE_UNKNOWN',
      '0x7f.1': 'MESH_ROUTE_UNKNOWN',
      'metadata.google.internal': 'MESH_ROUTE_UNKNOWN',
      'a..acme.mesh.internal': 'MESH_ROUTE_UNKNOWN',
      'echo.globex.mesh.internal': 'MESH_POLICY_NOT_ALLOWED',
      [`evil.${name}`]: 'MESH_ROUTE_UNKNOWN',
    }
    for (const [target, reason] of Object.entries(cases)) {
      assert.deepEqual(await send(callHead(target)), { reason }, target)
      const asMetadata = callHead('gateway.mesh.internal', ['x-mesh-target', target])
      assert.deepEqual(await send(asMetadata), { reason }, target)
    }
    const twice = callHead('x', ['x-mesh-target', name], ['x-mesh-target', name])
    assert.deepEqual(await send(twice), { reason: 'MESH_ROUTE_MALFORMED' })
    const userinfo = callHead('gateway.mesh.internal', ['x-mesh-target', `root@${name}`])
    assert.deepEqual(await send(userinfo), { reason: 'MESH_ROUTE_MALFORMED' })
  })

  it('refuses paths that are not one method of one service', async () => {
    const paths = ['/', '//', '/a.B', '/a.B/', '/a.B//C', '/a.B/../C', '/a.B/C?x', '/a.B/C#x']
    paths.push('/a.B/%43', '/a.B/C/D', '/a B/C', `/a.B/${'C'.repeat(600)}`, '/a.B/C;d')
    paths.push('https://evil/a.B/C')
    for (const path of paths) {
      const end = await send(callHead(name).with(2, [':path', path]))
      // without a slash at the start it is no path to HTTP/2 either
      const expected =
        'reset' in end ? { reset: h2.ERROR.PROTOCOL } : { reason: 'MESH_ROUTE_MALFORMED' }
      assert.deepEqual(end, expected, path)
    }
  })

  it('goes by :authority, and asks nobody else what the host is', async () => {
    assert.deepEqual(await send(callHead(name, ['host', 'echo.globex.mesh.internal'])), {
      reason: null,
    })
    assert.deepEqual(value(':authority'), [name])
    assert.deepEqual(value('host'), [])
    const hostAlone = callHead(name).toSpliced(3, 1)
    assert.deepEqual(await send([...hostAlone, ['host', name]]), { reason: 'MESH_ROUTE_MALFORMED' })
  })

  it('lets nobody speak in the name of the mesh', async () => {
    const forged: Header[] = [
      ['x-mesh-caller', 'spiffe://mesh.internal/tenant/globex/agent/root'],
      ['x-mesh-tenant', 'globex'],
      ['x-mesh-caller', 'spiffe://mesh.internal/tenant/globex/agent/root'],
      ['x-mesh-caller-fingerprint', 'x'],
      ['x-mesh-reflection', '1'],
      ['x-mesh-whatever', 'x'],
    ]
    assert.deepEqual(await send(callHead(name, ...forged)), { reason: null })
    assert.deepEqual(value('x-mesh-caller'), ['spiffe://mesh.internal/tenant/acme/agent/planner'])
    assert.deepEqual(value('x-mesh-tenant'), ['acme'])
    const others = seen.filter((item, i) => i % 2 === 0 && item.startsWith('x-mesh-'))
    assert.deepEqual(new Set(others), new Set(['x-mesh-caller', 'x-mesh-tenant']))
  })

  it('takes whitespace around a value for no part of it, and loses no field because of it', async () => {
    for (const [before, after] of [
      [' ', ''],
      ['', ' '],
      ['\t', ' \t'],
    ] as const) {
      const padded = (text: string) => `${before}${text}${after}`
      const head = callHead(
        name,
        ['authorization', padded('Bearer x')],
        ['plain', padded('a b')],
        ['tail-bin', padded('AAEC')],
        ['grpc-timeout', padded('10S')],
        ['x-request-id', padded('my-id')],
      )
      assert.deepEqual(await send(head), { reason: null })
      assert.deepEqual(value('authorization'), ['Bearer x'])
      assert.deepEqual(value('plain'), ['a b'])
      assert.deepEqual(value('tail-bin'), ['AAEC'])
      assert.deepEqual(value('x-request-id'), ['my-id'])
      assert.equal(value('grpc-timeout').length, 1)
      const malformed = callHead(name, ['grpc-timeout', padded('soon')])
      assert.deepEqual(await send(malformed), { reason: 'MESH_ROUTE_MALFORMED' })
    }
    const inType = callHead(name).map(
      ([key, text]): Header => (key === 'content-type' ? [key, ` ${text}`] : [key, text]),
    )
    assert.deepEqual(await send(inType), { reason: null })
  })

  it('narrows a chain by destinations that have whitespace around them', async () => {
    const delegate = '/clawmesh.delegation.v1.DelegationService/Delegate'
    const narrowed: readonly (readonly [string, string])[] = [
      ['x-mesh-narrow-destinations', 'example.com '],
      ['x-mesh-narrow-destinations', '\texample.com'],
    ]
    for (const header of narrowed) {
      assert.deepEqual(await send(callHead(name, header).with(2, [':path', delegate])), {
        reason: null,
      })
      const [token = ''] = value('x-mesh-delegation')
      const claims = JSON.parse(Buffer.from(token?.split('.')[1] ?? '', 'base64url').toString())
      assert.deepEqual(claims.allowed_destinations, ['example.com'])
    }
  })

  it('hands on binary and invalid text as it came, and never what would split a header', async () => {
    const bytes = Buffer.from([0xff, 0xfe, 0xc3, 0x28])
    const head = callHead(
      name,
      ['a', bytes],
      ['b', 'x\r\ny: z'],
      ['c', 'x\0y'],
      ['d\0', 'x'],
      ['e', 'é'],
    )
    assert.deepEqual(await send(head), { reason: null })
    assert.deepEqual(value('a'), [bytes.toString('latin1')])
    assert.deepEqual(value('e'), ['é'])
    for (const gone of ['b', 'c', 'd', 'd\0', 'y']) assert.deepEqual(value(gone), [], gone)
  })

  it('refuses what may be said once and is said twice, instead of taking the peer for lost', async () => {
    for (const single of ['authorization', 'user-agent', 'age', 'content-type'])
      assert.deepEqual(
        await send(callHead(name, [single, 'application/grpc'], [single, 'application/grpc'])),
        { reason: 'MESH_ROUTE_MALFORMED' },
        single,
      )
  })

  it('takes deadlines of any size, and one only', async () => {
    for (const timeout of ['0n', '1n', '99999999n', '0S', '99999999H', '00000001M', '597H']) {
      const end = await send(callHead(name, ['grpc-timeout', timeout]))
      assert.ok('reason' in end && [null, 'MESH_CALL_DEADLINE'].includes(end.reason), timeout)
    }
    for (const timeout of ['', 'S', '1', '-1S', '1.5S', '999999999S', '1s', '1S ,', '१S', '1e3S'])
      assert.deepEqual(
        await send(callHead(name, ['grpc-timeout', timeout])),
        { reason: 'MESH_ROUTE_MALFORMED' },
        timeout,
      )
    const twice = callHead(name, ['grpc-timeout', '1S'], ['grpc-timeout', '9H'])
    assert.deepEqual(await send(twice), { reason: 'MESH_ROUTE_MALFORMED' })
  })

  it('says of a head that is too large that it is, with an audit line', async () => {
    const pairs: Header[] = Array.from({ length: 120 }, (_, i) => [`a${i}`, 'b'])
    assert.deepEqual(await send(callHead(name, ...pairs)), { reason: 'MESH_LIMIT_SIZE' })
    const large = callHead(name, ['a', 'b'.repeat(8_192)])
    assert.deepEqual(await send(large), { reason: 'MESH_LIMIT_SIZE' })
    const absurd: Header[] = Array.from({ length: 1_000 }, (_, i) => [`a${i}`, 'b'])
    assert.deepEqual(await send(callHead(name, ...absurd)), { reset: h2.ERROR.CALM })
  })

  it('keeps trailers of a caller to itself', async () => {
    const data = (id: number) => h2.frame(h2.FRAME.DATA, 0, id, Buffer.alloc(5))
    const { END_HEADERS, END_STREAM } = h2.FLAG
    const trailers = (id: number) =>
      h2.headersFrame(id, [['x-mesh-caller', 'root']], END_HEADERS | END_STREAM)
    assert.deepEqual(await send(callHead(name), data, trailers), { reason: null })
    const pseudo = (id: number) =>
      h2.headersFrame(id, [[':path', '/x.Y/Z']], END_HEADERS | END_STREAM)
    assert.deepEqual(await send(callHead(name), data, pseudo), { reason: 'MESH_CALL_CANCELED' })
  })

  it('ends the connection of who breaks the rules of streams, with an audit line for the call that was there', async () => {
    const breaches: readonly (() => readonly Buffer[])[] = [
      () => [h2.headersFrame(2, callHead(name))],
      () => [h2.frame(h2.FRAME.PUSH_PROMISE, h2.FLAG.END_HEADERS, 1, Buffer.alloc(4))],
      () => [h2.headersFrame(0, callHead(name))],
      () => [h2.frame(h2.FRAME.DATA, 0, 0, Buffer.alloc(5))],
      () => [h2.frame(h2.FRAME.DATA, 0, 99, Buffer.alloc(5))],
      () => [h2.frame(h2.FRAME.DATA, 0, 1, Buffer.alloc(20_000))],
      () => [h2.settingsFrame([[h2.SETTING.INITIAL_WINDOW_SIZE, 0x80000000]])],
      () => [h2.windowFrame(0, 0)],
      // a length that lies
      () => [
        h2.headersFrame(3, callHead(name, ['content-length', '3'])),
        h2.frame(h2.FRAME.DATA, h2.FLAG.END_STREAM, 3, Buffer.alloc(5)),
      ],
    ]
    for (const breach of breaches) {
      field.mesh.records.length = 0
      const own = await field.attack()
      await own.send(h2.headersFrame(1, callHead(name)))
      await own.frame((got) => got.type === h2.FRAME.HEADERS)
      await own.send(...breach())
      await own.closed
      await waitFor('the audit line', () => field.mesh.records.some((one) => one.tenant === 'acme'))
    }
    await field.counted('protocol')
  })
})
