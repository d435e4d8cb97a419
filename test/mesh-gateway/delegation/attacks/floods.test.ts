import assert from 'node:assert/strict'
import { constants } from 'node:http2'
import { connect as connectTls } from 'node:tls'
import * as h2 from '../../../support/raw-http2.ts'
import { frame, type Header, headerBlock, type RawSide } from '../../../support/raw-http2.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { echo } from '../fixture.ts'
import { type Battlefield, callFrame, callHead, openBattlefield } from './battlefield.ts'

/** Sends until all is sent or the connection is cut; true when it was cut. */
async function flood(side: RawSide, times: number, piece: (i: number) => Buffer): Promise<boolean> {
  for (let i = 0; i < times; i += 1) {
    if (!(await side.send(piece(i)))) return true
    // the port works in the same process: let it
    await new Promise((resolve) => setImmediate(resolve))
  }
  return false
}

const many = (count: number, make: (i: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, i) => make(i)))

describe('floods of frames', () => {
  let field: Battlefield
  let victim: string

  before(async () => {
    field = await openBattlefield({
      guard: { controlBytesPerSecond: 65_536, controlFramesPerSecond: 2_000, resetsPerSecond: 50 },
    })
    victim = (await field.mesh.peer('victim', echo)).name
  })
  after(() => field.close())
  afterEach(() => field.unharmed())

  const recordsOfAttacker = () => field.mesh.records.filter((one) => one.tenant === 'acme')

  it('ends a connection that resets its calls as fast as it makes them, 10 000 of them', async () => {
    field.mesh.records.length = 0
    const side = await field.attack()
    await flood(side, 100, (i) =>
      many(100, (k) => {
        const id = (i * 100 + k) * 2 + 1
        return Buffer.concat([callFrame(id, victim), h2.rstFrame(id)])
      }),
    )
    await side.closed
    const records = recordsOfAttacker()
    assert.ok(records.length > 0 && records.length < 5_000, `${records.length} reached the gateway`)
    assert.deepEqual(new Set(records.map((one) => one.reason)), new Set(['MESH_CALL_CANCELED']))
  })

  it('ends a connection that makes the gateway reset its calls', async () => {
    const provocations: readonly ((id: number) => Buffer)[] = [
      (id) => Buffer.concat([callFrame(id, victim), h2.windowFrame(id, 0)]),
      (id) => Buffer.concat([callFrame(id, victim), h2.windowFrame(id, 0x7fffffff)]),
      (id) =>
        Buffer.concat([
          h2.headersFrame(id, callHead(victim), h2.FLAG.END_HEADERS | h2.FLAG.END_STREAM),
          frame(h2.FRAME.DATA, 0, id, Buffer.from('x')),
        ]),
      (id) =>
        Buffer.concat([callFrame(id, victim), frame(h2.FRAME.PRIORITY, 0, id, Buffer.alloc(4))]),
      (id) => Buffer.concat([callFrame(id, victim), callFrame(id, victim)]),
    ]
    for (const provoke of provocations) {
      const side = await field.attack()
      await flood(side, 100, (i) => many(50, (k) => provoke((i * 50 + k) * 2 + 1)))
      await side.closed
    }
  })

  it('ends a connection whose calls are reset for malformed heads', async () => {
    const bad = callHead(victim, ['X-Upper', 'x'])
    const side = await field.attack()
    await flood(side, 4_000, (i) => h2.headersFrame(i * 2 + 1, bad))
    await side.closed
  })

  it('ends a connection whose header block never ends', async () => {
    const side = await field.attack()
    await side.send(h2.headersFrame(1, callHead(victim), 0))
    await flood(side, 1_000, () => frame(h2.FRAME.CONTINUATION, 0, 1, headerBlock([['a', 'b']])))
    await side.closed
  })

  it('decompresses no header bomb', async () => {
    field.mesh.records.length = 0
    const before = process.memoryUsage().rss
    const big = headerBlock([['x', 'a'.repeat(3_900)]])
    // with incremental indexing: from then on a byte stands for 3 900
    big[0] = 0x40
    const bomb = Buffer.alloc(12_000, 0x80 | 62)
    const side = await field.attack()
    await flood(side, 300, (i) => {
      const block = [headerBlock(callHead(victim)), i === 0 ? big : Buffer.alloc(0), bomb]
      return frame(h2.FRAME.HEADERS, h2.FLAG.END_HEADERS, i * 2 + 1, Buffer.concat(block))
    })
    const grown = process.memoryUsage().rss - before
    assert.ok(grown < 200 << 20, `${grown} bytes for 14 GB of headers`)
    assert.ok(recordsOfAttacker().every((one) => one.reason !== null))
    side.socket.destroy()
  })

  it('reads no million headers', async () => {
    const side = await field.attack()
    await side.send(h2.headersFrame(1, callHead(victim), 0))
    const some: Header[] = Array.from({ length: 1_000 }, (_, i) => [`a${i}`, 'b'])
    const cut = await flood(side, 1_000, () =>
      frame(h2.FRAME.CONTINUATION, 0, 1, headerBlock(some)),
    )
    assert.equal(cut, true)
  })

  const control: readonly (readonly [string, string, () => Buffer])[] = [
    ['PING', '', () => frame(h2.FRAME.PING, 0, 0, Buffer.alloc(8))],
    ['SETTINGS', '', () => h2.settingsFrame([[h2.SETTING.INITIAL_WINDOW_SIZE, 65_535]])],
    ['PRIORITY', '', () => frame(h2.FRAME.PRIORITY, 0, 1, Buffer.from([0, 0, 0, 0, 1]))],
    ['unknown frames', '', () => frame(0x77, 0, 0, Buffer.alloc(8))],
    ['WINDOW_UPDATE', 'control-bytes', () => h2.windowFrame(0, 1)],
  ]
  for (const [name, reason, make] of control)
    it(`ends a connection that floods with ${name}`, async () => {
      const side = await field.attack()
      const piece = many(500, make)
      // as much as it takes: some are counted by the second
      const deadline = Date.now() + 6_000
      while (Date.now() < deadline && (await side.send(piece)))
        await new Promise((resolve) => setImmediate(resolve))
      await side.closed
      assert.ok(Date.now() < deadline, 'it was never cut')
      if (reason !== '') await field.counted(reason)
    })

  it('ends a connection that answers itself with PINGs it reads', async () => {
    const side = await field.attack()
    const piece = many(50, () => frame(h2.FRAME.PING, 0, 0, Buffer.alloc(8)))
    let answered = 0
    side.onFrame((got) => {
      if (got.type === h2.FRAME.PING) answered += 1
    })
    for (let sent = 0; await side.send(piece); ) {
      sent += 50
      await Promise.race([waitFor('answers', () => answered >= sent, { everyMs: 1 }), side.closed])
    }
    await field.counted('control-frames')
    const goodbye = side.frames.find(({ type }) => type === h2.FRAME.GOAWAY)
    assert.ok(goodbye, 'it is told that it is cut')
    assert.equal(h2.codeOf(goodbye), constants.NGHTTP2_ENHANCE_YOUR_CALM)
  })

  for (const padded of [false, true])
    it(`ends a connection that floods with ${padded ? 'padding' : 'empty DATA'}`, async () => {
      field.mesh.records.length = 0
      const side = await field.attack()
      await side.send(callFrame(1, victim))
      const empty = padded ? frame(0, 8, 1, Buffer.from([0])) : frame(0, 0, 1)
      await flood(side, 200, () => many(500, () => empty))
      await side.closed
      await waitFor('the audit line', () => recordsOfAttacker().length === 1)
    })

  it('lets an honest caller send as many small messages as it likes', async () => {
    const side = await field.attack([[h2.SETTING.INITIAL_WINDOW_SIZE, 0x7fffffff]])
    await side.send(h2.windowFrame(0, 0x7fff0000), callFrame(1, victim))
    const piece = many(100, () => frame(h2.FRAME.DATA, 0, 1, Buffer.from([0, 0, 0, 0, 0])))
    let echoed = 0
    side.onFrame((got) => {
      if (got.type === h2.FRAME.DATA) echoed += got.payload.length
    })
    for (let i = 1; i <= 400; i += 1) {
      assert.equal(await side.send(piece), true, 'it was cut')
      if (i % 50 === 0) await waitFor('the echo', () => echoed >= i * 400, { everyMs: 2 })
    }
    side.socket.destroy()
  })

  it('tells the port in its own metric, with bounded labels', async () => {
    const text = await field.mesh.metrics.text()
    const rows = text.split('\n').filter((line) => line.startsWith('clawmesh_connections_refused'))
    assert.ok(rows.length > 1 && rows.length < 15, rows.join('\n'))
    assert.ok(rows.every((row) => /\{plane="delegation",reason="[a-z-]+"\} \d+$/.test(row)))
  })

  it('tells HTTP/1.1 that it is not its version, and is not there for TLS 1.2 or another protocol', async () => {
    const plain = await field.dial({ alpn: [] })
    plain.write(
      'GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\r\n',
    )
    const answer = await new Promise((resolve) => plain.once('data', resolve))
    assert.match(String(answer), /^HTTP\/1\.1 505 /)
    await assert.rejects(field.dial({ alpn: ['spdy/3'] }))
    const { host, port } = field.mesh.port.address
    const old = connectTls({ host, port, maxVersion: 'TLSv1.2', ca: '', ALPNProtocols: ['h2'] })
    const error = await new Promise<NodeJS.ErrnoException>((resolve) => old.once('error', resolve))
    assert.match(String(error.code), /PROTOCOL_VERSION|ECONNRESET/)
    await field.counted('not-http2')
    await field.counted('tls')
  })
})
