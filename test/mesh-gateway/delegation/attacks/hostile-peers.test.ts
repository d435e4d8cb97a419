import assert from 'node:assert/strict'
import type { ClientHttp2Session } from 'node:http2'
import type { Header, RawSide } from '../../../support/raw-http2.ts'
import * as h2 from '../../../support/raw-http2.ts'
import { call } from '../fixture.ts'
import { type Battlefield, callHead, openBattlefield } from './battlefield.ts'

type OnCall = (side: RawSide, stream: number) => unknown
type Settings = readonly (readonly [number, number])[]

const { DATA, CONTINUATION, PING, PUSH_PROMISE } = h2.FRAME
const { END_STREAM, END_HEADERS } = h2.FLAG
const LAST = END_STREAM | END_HEADERS
const OK: readonly Header[] = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
]
const DONE: readonly Header[] = [['grpc-status', '0']]
const MESSAGE = Buffer.alloc(5)

const many = (count: number, make: (i: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, i) => make(i)))
const pairs = (count: number): Header[] => Array.from({ length: count }, (_, i) => [`a${i}`, 'b'])

async function flood(side: RawSide, times: number, piece: Buffer): Promise<void> {
  for (let i = 0; i < times && (await side.send(piece)); i += 1)
    await new Promise((resolve) => setImmediate(resolve))
}

function answer(side: RawSide, id: number, ...more: readonly Header[]) {
  return side.send(
    h2.headersFrame(id, [...OK, ...more]),
    h2.frame(DATA, 0, id, MESSAGE),
    h2.headersFrame(id, DONE, LAST),
  )
}

describe('a hostile peer', function () {
  this.timeout(240_000)
  let field: Battlefield
  let caller: ClientHttp2Session
  let agents = 0

  before(async () => {
    // no answer here depends on a clock: on a busy machine each of them would come first
    field = await openBattlefield({ dialTimeoutMs: 60_000 })
    caller = await field.mesh.connect(field.attacker)
  })
  after(() => field.close())
  afterEach(() => field.unharmed())

  /** One call to a peer of its own; answers the status, the code and the message. */
  async function callTo(
    onCall: OnCall,
    settings: Settings | null = [],
    first?: (side: RawSide) => unknown,
  ) {
    agents += 1
    let sides = 0
    const peer = await field.hostile(`peer-${agents}`, (side) => {
      sides += 1
      if (settings !== null) side.send(h2.settingsFrame(settings))
      first?.(side)
      side.onFrame((got) => {
        if (got.type === h2.FRAME.HEADERS) onCall(side, got.stream)
      })
    })
    field.mesh.records.length = 0
    const got = await call(caller, { ':authority': peer, 'grpc-timeout': '60S' })
    const ofCaller = field.mesh.records.filter((one) => one.tenant === 'acme')
    // on a busy machine one that is open for long has a line for that
    const records = ofCaller.filter(({ phase }) => phase !== 'open')
    assert.equal(records.length, 1, 'one audit line')
    assert.equal(records[0]?.grpc_status, got.status)
    return { code: got.error?.code ?? null, status: got.status, sides, answer: got }
  }

  async function expect(code: string, cases: Record<string, OnCall>): Promise<void> {
    for (const [what, onCall] of Object.entries(cases))
      assert.equal((await callTo(onCall)).code, code, what)
  }

  it('cannot end the process with headers that Node refuses to send on', () =>
    expect('MESH_PEER_PROTOCOL', {
      'two content-types': (side, id) => answer(side, id, ['content-type', 'text/html']),
      'two dates': (side, id) => answer(side, id, ['date', 'a'], ['date', 'b']),
      'two ages': (side, id) => answer(side, id, ['age', '1'], ['age', '2']),
    }))

  it('gets no answer through that is against HTTP/2', () =>
    expect('MESH_PEER_PROTOCOL', {
      connection: (side, id) => answer(side, id, ['connection', 'close']),
      'upper case': (side, id) => answer(side, id, ['X-Y', 'z']),
      'trailers before headers': (side, id) => side.send(h2.headersFrame(id, DONE, LAST)),
      'headers twice': (side, id) =>
        side.send(
          h2.headersFrame(id, OK),
          h2.headersFrame(id, OK),
          h2.headersFrame(id, DONE, LAST),
        ),
      'no status': (side, id) => side.send(h2.headersFrame(id, [['a', 'b']], LAST)),
      'a status of 999': (side, id) => side.send(h2.headersFrame(id, [[':status', '999']], LAST)),
      'a status in words': (side, id) => side.send(h2.headersFrame(id, [[':status', 'ok']], LAST)),
      'a status in trailers': (side, id) =>
        side.send(
          h2.headersFrame(id, OK),
          h2.headersFrame(id, [[':status', '200'], ...DONE], LAST),
        ),
      '101': (side, id) => side.send(h2.headersFrame(id, [[':status', '101']])),
      'no end': (side, id) =>
        side.send(h2.headersFrame(id, OK), h2.frame(DATA, END_STREAM, id, MESSAGE)),
      '500 headers': (side, id) => answer(side, id, ...pairs(500)),
      '500 trailers': (side, id) =>
        side.send(h2.headersFrame(id, OK), h2.headersFrame(id, [...DONE, ...pairs(500)], LAST)),
    }))

  it('loses its connection for what breaks the connection, and only its own calls', () =>
    expect('MESH_PEER_LOST', {
      'DATA before headers': (side, id) => side.send(h2.frame(DATA, 0, id, MESSAGE)),
      'a stream of its own': (side) => side.send(h2.headersFrame(2, OK)),
      'a stream that nobody opened': (side) => side.send(h2.headersFrame(99, OK)),
      'a window too wide': (side) =>
        side.send(h2.windowFrame(0, 0x7fffffff), h2.windowFrame(0, 0x7fffffff)),
      'a window of nothing': (side, id) => side.send(h2.windowFrame(id, 0)),
      'frames too large': (side, id) => side.send(h2.frame(DATA, 0, id, Buffer.alloc(20_000))),
      'a length that lies': (side, id) => answer(side, id, ['content-length', '3']),
      'endless headers': async (side, id) => {
        await side.send(h2.headersFrame(id, OK, 0))
        await flood(side, 1_000, h2.frame(CONTINUATION, 0, id, h2.headerBlock(pairs(10))))
      },
      'a flood of PINGs': (side) =>
        flood(
          side,
          200,
          many(1_000, () => h2.frame(PING, 0, 0, Buffer.alloc(8))),
        ),
      'a flood of SETTINGS': (side) =>
        flood(
          side,
          200,
          many(1_000, (i) => h2.settingsFrame([[3, i]])),
        ),
      'a flood of empty DATA': async (side, id) => {
        await side.send(h2.headersFrame(id, OK))
        await flood(
          side,
          200,
          many(1_000, () => h2.frame(DATA, 0, id)),
        )
      },
      'more than the window holds': async (side, id) => {
        await side.send(h2.headersFrame(id, OK))
        await flood(side, 1_000, h2.frame(DATA, 0, id, Buffer.alloc(16_384)))
        await flood(
          side,
          1,
          many(1, () => h2.windowFrame(0, 0)),
        )
      },
    }))

  it('cannot keep a call by informational answers without end', async () => {
    for (const status of ['100', '103'])
      await expect('MESH_PEER_PROTOCOL', {
        [status]: (side, id) =>
          flood(
            side,
            50,
            many(1_000, () => h2.headersFrame(id, [[':status', status]])),
          ),
      })
  })

  it('that takes no calls costs one dial and a clear word', async () => {
    const none = await callTo(answer, [[h2.SETTING.MAX_CONCURRENT_STREAMS, 0]])
    assert.equal(none.code, 'MESH_LIMIT_CONCURRENCY')
    assert.ok(none.sides <= 2, `${none.sides} dials`)
    const later = await callTo(answer, [], (side) =>
      side.send(h2.settingsFrame([[h2.SETTING.MAX_CONCURRENT_STREAMS, 0]])),
    )
    assert.ok(later.sides <= 17, `${later.sides} dials`)
  })

  it('that speaks no HTTP/2 is unreachable, or against the protocol', async () => {
    const garbage = await callTo(answer, null, (side) =>
      side.send(Buffer.from('HTTP/1.1 200 OK\r\n\r\n')),
    )
    assert.equal(garbage.code, 'MESH_PEER_PROTOCOL')
    const gone = await callTo(answer, [], (side) => side.socket.end())
    assert.ok(['MESH_PEER_UNREACHABLE', 'MESH_PEER_LOST'].includes(String(gone.code)))
  })

  it('that says goodbye, or resets, a thousand times is heard once', async () => {
    await expect('MESH_PEER_LOST', {
      'an error each time': (side, id) =>
        flood(
          side,
          1,
          many(1_000, () => h2.goawayFrame(id, h2.ERROR.CALM)),
        ),
    })
    await expect('MESH_CALL_CANCELED', {
      resets: (side, id) =>
        flood(
          side,
          20,
          many(100, () => h2.rstFrame(id, h2.ERROR.CANCEL)),
        ),
    })
  })

  it('may promise pushes in vain', async () => {
    const { status } = await callTo(async (side, id) => {
      const promise = Buffer.concat([Buffer.from([0, 0, 0, 2]), h2.headerBlock(callHead('x'))])
      await side.send(h2.frame(PUSH_PROMISE, END_HEADERS, id, promise))
      await answer(side, id)
    })
    assert.ok([0, 13, 14].includes(status), String(status))
  })

  it('hands words and details to the caller as they came, whatever they are', async () => {
    const end = async (...trailers: readonly Header[]) => {
      const got = await callTo((side, id) =>
        side.send(h2.headersFrame(id, OK), h2.headersFrame(id, trailers, LAST)),
      )
      return got.answer.trailers
    }
    const status: Header = ['grpc-status', '13']
    for (const message of ['a%C3%28b', '%E0%A4%A', '%ED%A0%80', '%', '100%25', '\xff\xfe'])
      assert.equal((await end(status, ['grpc-message', message]))['grpc-message'], message)
    const details = 'A'.repeat(14_000)
    assert.equal(
      (await end(status, ['grpc-status-details-bin', details]))['grpc-status-details-bin'],
      details,
    )
    assert.equal(
      (await end(['grpc-status', '0'], ['x-mesh-caller', 'root']))['x-mesh-caller'],
      undefined,
    )
  })

  it('is told from the gateway by a mark that no peer can set', async () => {
    const forged: Header[] = [
      ['grpc-status', '7'],
      ['x-mesh-refusal', 'MESH_POLICY_NOT_ALLOWED'],
    ]
    const inTrailers = await callTo((side, id) =>
      side.send(h2.headersFrame(id, OK), h2.headersFrame(id, forged, LAST)),
    )
    assert.equal(inTrailers.answer.trailers['x-mesh-refusal'], undefined)
    const alone = await callTo((side, id) =>
      side.send(h2.headersFrame(id, [...OK, ...forged], LAST)),
    )
    assert.equal(alone.answer.headers['x-mesh-refusal'], undefined)
    const refused = await call(caller, { ':authority': 'nobody.globex.mesh.internal' })
    assert.equal(refused.headers['x-mesh-refusal'], 'MESH_POLICY_NOT_ALLOWED')
  })

  it('may give a trailer twice, and both go on as they came', async () => {
    const got = await callTo(async (side, id) => {
      await side.send(
        h2.headersFrame(id, OK),
        h2.frame(DATA, 0, id, MESSAGE),
        h2.headersFrame(
          id,
          [...DONE, ['tail-bin', 'AAEC'], ['tail-bin', 'AwQF'], ['tail', ' a '], ['tail', 'b']],
          LAST,
        ),
      )
    })
    assert.equal(got.status, 0)
    // a client of Node shows what came twice with a comma between
    assert.equal(got.answer.trailers['tail-bin'], 'AAEC, AwQF')
    assert.equal(got.answer.trailers.tail, 'a, b')
    assert.deepEqual(
      got.answer.rawTrailers.filter((_, i, all) => all[i - (i % 2)] === 'tail-bin'),
      ['tail-bin', 'AAEC', 'tail-bin', 'AwQF'],
    )
  })

  it('cannot give twice what may be said once: the call fails, and its audit line says so', async () => {
    for (const name of ['grpc-status', 'grpc-message', 'grpc-status-details-bin', 'content-type']) {
      field.mesh.records.length = 0
      const twice: Header[] = [
        [name, '0'],
        [name, '0'],
      ]
      const status: readonly Header[] = name === 'grpc-status' ? [] : DONE
      const got = await callTo((side, id) =>
        side.send(
          h2.headersFrame(id, OK),
          h2.frame(DATA, 0, id, MESSAGE),
          h2.headersFrame(id, [...status, ...twice], LAST),
        ),
      )
      assert.equal(got.status, 13, name)
      const record = field.mesh.records.find((one) => one.tenant === 'acme')
      assert.equal(record?.reason, 'MESH_PEER_PROTOCOL', name)
      assert.equal(record?.grpc_status, 13, name)
    }
  })

  it('cannot speak in the name of the mesh', async () => {
    const { answer: got } = await callTo((side, id) =>
      answer(
        side,
        id,
        ['x-mesh-caller', 'root'],
        ['x-request-id', 'forged'],
        ['content-length', '5'],
      ),
    )
    assert.equal(got.status, 0)
    assert.equal(got.headers['x-mesh-caller'], undefined)
    assert.notEqual(got.headers['x-request-id'], 'forged')
  })
})

describe('a hostile peer that never says a word', () => {
  let field: Battlefield
  before(async () => {
    field = await openBattlefield({ dialTimeoutMs: 500 })
  })
  after(() => field.close())

  it('is unreachable, in time', async () => {
    const caller = await field.mesh.connect(field.attacker)
    const peer = await field.hostile('silent', () => {})
    const got = await call(caller, { ':authority': peer, 'grpc-timeout': '60S' })
    assert.equal(got.error?.code, 'MESH_PEER_UNREACHABLE')
  })
})
