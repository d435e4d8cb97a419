import assert from 'node:assert/strict'
import type { ClientHttp2Session } from 'node:http2'
import type { Header, RawSide } from '../../../support/raw-http2.ts'
import * as h2 from '../../../support/raw-http2.ts'
import { type Battlefield, openBattlefield } from '../attacks/battlefield.ts'
import { call } from '../fixture.ts'

const PATH = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo'
const { END_STREAM, END_HEADERS } = h2.FLAG
const LAST = END_STREAM | END_HEADERS
const OK: readonly Header[] = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
]

describe('a hostile peer that is asked for reflection', () => {
  let field: Battlefield
  let caller: ClientHttp2Session
  let agents = 0

  before(async () => {
    field = await openBattlefield()
    caller = await field.mesh.connect(field.attacker)
  })
  after(() => field.close())
  afterEach(() => field.unharmed())

  async function ask(onCall: (side: RawSide, stream: number) => unknown) {
    agents += 1
    const peer = await field.hostile(`library-${agents}`, (side) => {
      side.send(h2.settingsFrame([]))
      side.onFrame((got) => {
        if (got.type === h2.FRAME.HEADERS) onCall(side, got.stream)
      })
    })
    return call(caller, { ':path': PATH, ':authority': peer, 'grpc-timeout': '3S' })
  }

  it('cannot end the process with headers or trailers that Node refuses to send on', async () => {
    const twice: readonly Header[] = [
      ['date', 'a'],
      ['date', 'b'],
    ]
    const inHead = await ask((side, id) => side.send(h2.headersFrame(id, [...OK, ...twice])))
    assert.equal(inHead.error?.code, 'MESH_PEER_PROTOCOL')
    const alone = await ask((side, id) =>
      side.send(h2.headersFrame(id, [...OK, ...twice, ['grpc-status', '0']], LAST)),
    )
    assert.equal(alone.error?.code, 'MESH_PEER_PROTOCOL')
    const inTrailers = await ask((side, id) =>
      side.send(
        h2.headersFrame(id, OK),
        h2.headersFrame(id, [['grpc-status', '0'], ...twice], LAST),
      ),
    )
    assert.ok([0, 13].includes(inTrailers.status), String(inTrailers.status))
  })

  it('cannot keep a call by informational answers without end', async () => {
    const got = await ask(async (side, id) => {
      const informational = h2.headersFrame(id, [[':status', '103']])
      for (let i = 0; i < 1_000 && (await side.send(informational)); i += 1)
        await new Promise((resolve) => setImmediate(resolve))
    })
    assert.equal(got.error?.code, 'MESH_PEER_PROTOCOL')
  })
})
