import assert from 'node:assert/strict'
import type { RawSide } from '../../../support/raw-http2.ts'
import * as h2 from '../../../support/raw-http2.ts'
import { call, echo } from '../fixture.ts'
import { type Battlefield, callFrame, openBattlefield } from './battlefield.ts'

describe('calls that a peer did not process', () => {
  let field: Battlefield

  before(async () => {
    field = await openBattlefield({ guard: { ownCallsPerMinute: 1_000_000 } })
  })
  after(() => field.close())
  afterEach(() => field.unharmed())

  const bodies: Buffer[] = []
  const good = (side: RawSide, id: number) =>
    side.send(
      h2.headersFrame(id, [
        [':status', '200'],
        ['content-type', 'application/grpc'],
      ]),
      h2.headersFrame(id, [['grpc-status', '0']], h2.FLAG.END_HEADERS | h2.FLAG.END_STREAM),
    )

  /** A peer whose first `bad` streams get `fate`, the others a good answer. */
  async function peer(agent: string, bad: number, fate: (side: RawSide, id: number) => unknown) {
    let streams = 0
    let sides = 0
    bodies.length = 0
    const name = await field.hostile(agent, (side) => {
      sides += 1
      side.send(h2.settingsFrame())
      side.onFrame((got) => {
        if (got.type === h2.FRAME.DATA) bodies.push(got.payload)
        if (got.type !== h2.FRAME.HEADERS) return
        streams += 1
        if (streams <= bad) fate(side, got.stream)
        else good(side, got.stream)
      })
    })
    return { name, counts: () => ({ streams, sides }) }
  }

  const fates: Record<string, (side: RawSide, id: number) => unknown> = {
    'refused by its stream': (side, id) => side.send(h2.rstFrame(id, h2.ERROR.REFUSED)),
    'above the last stream of a GOAWAY': (side) => side.send(h2.goawayFrame(0)),
    'above the last stream of a GOAWAY with an error': (side) =>
      side.send(h2.goawayFrame(0, h2.ERROR.CALM)),
  }
  for (const [what, fate] of Object.entries(fates)) {
    it(`are tried once more, on another connection, when ${what}`, async () => {
      const agent = `once-${Object.keys(fates).indexOf(what)}`
      const { name, counts } = await peer(agent, 1, fate)
      const session = await field.mesh.connect(field.attacker)
      field.mesh.records.length = 0
      const answer = await call(session, { ':authority': name }, Buffer.from('the request'))
      assert.equal(answer.status, 0)
      assert.deepEqual(counts(), { streams: 2, sides: 2 })
      assert.equal(bodies.at(-1)?.toString(), 'the request')
      assert.equal(field.mesh.records.filter((one) => one.tenant === 'acme').length, 1)
    })
  }

  it('are not tried a third time', async () => {
    const { name, counts } = await peer('never', 9, (side, id) =>
      side.send(h2.rstFrame(id, h2.ERROR.REFUSED)),
    )
    const session = await field.mesh.connect(field.attacker)
    assert.equal((await call(session, { ':authority': name })).error?.code, 'MESH_PEER_LOST')
    assert.equal(counts().streams, 2)
  })

  it('are not tried again when the peer may have begun', async () => {
    const begun: Record<string, (side: RawSide, id: number) => unknown> = {
      reset: (side, id) => side.send(h2.rstFrame(id, h2.ERROR.PROTOCOL)),
      cut: (side) => side.socket.destroy(),
      answering: (side, id) =>
        side.send(
          h2.headersFrame(id, [
            [':status', '200'],
            ['content-type', 'application/grpc'],
          ]),
          h2.rstFrame(id, h2.ERROR.REFUSED),
        ),
    }
    for (const [what, fate] of Object.entries(begun)) {
      const { name, counts } = await peer(`begun-${what}`, 1, fate)
      const session = await field.mesh.connect(field.attacker)
      assert.notEqual((await call(session, { ':authority': name })).status, 0, what)
      assert.equal(counts().streams, 1, what)
    }
  })

  it('and those it has accepted go on to their end', async () => {
    let first = 0
    const name = await field.hostile('leaving', (side) => {
      side.send(h2.settingsFrame())
      side.onFrame((got) => {
        if (got.type !== h2.FRAME.HEADERS) return
        if (first === 0) {
          first = got.stream
          side.send(h2.goawayFrame(got.stream))
          setImmediate(() => good(side, first))
        } else good(side, got.stream)
      })
    })
    const session = await field.mesh.connect(field.attacker)
    assert.equal((await call(session, { ':authority': name })).status, 0)
    assert.equal((await call(session, { ':authority': name })).status, 0)
  })

  it('one agent’s cancelled calls end nobody else’s, at a peer and at the gateway itself', async () => {
    const peer = await field.mesh.peer('shared', (stream, headers) => {
      if (headers.includes('/test.v1.Echo/Held')) stream.once('data', () => echo(stream))
      else echo(stream)
    })
    const session = await field.mesh.connect(field.attacker)
    const health = { ':path': '/grpc.health.v1.Health/Check' }
    for (const [target, path] of [
      [peer.name, '/test.v1.Echo/Unary'],
      ['localhost', '/grpc.health.v1.Health/Check'],
    ] as const) {
      for (let round = 0; round < 3; round += 1) {
        const side = await field.attack()
        for (let i = 0; i < 8; i += 1) {
          const burst = Array.from({ length: 100 }, (_, k) => {
            const id = (i * 100 + k) * 2 + 1
            return Buffer.concat([callFrame(id, target), h2.rstFrame(id)])
          })
          await side.send(...burst)
        }
        await side.send(h2.frame(h2.FRAME.PING, 0, 0, Buffer.alloc(8)))
        await side.frame((got) => got.type === h2.FRAME.PING)
        side.socket.destroy()
        const body = path === health[':path'] ? Buffer.alloc(5) : Buffer.from('x')
        const answer = await call(session, { ':authority': target, ':path': path }, body)
        assert.equal(answer.status, 0, answer.error?.code)
      }
    }
  })
})
