/** Answers of callees that are unusual: which of them pass, and which error the others become. */
import assert from 'node:assert/strict'
import type { ClientHttp2Session } from 'node:http2'
import { GRPC_STATUS } from '@clawmesh/proto'
import { MAX_METADATA_BYTES } from '../../../../mesh-gateway/src/delegation/carry/peer-response.ts'
import * as h2 from '../../../support/raw-http2.ts'
import { type Battlefield, openBattlefield } from '../attacks/battlefield.ts'
import { call } from '../fixture.ts'

type OnCall = (side: h2.RawSide, stream: number) => unknown

const LAST = h2.FLAG.END_STREAM | h2.FLAG.END_HEADERS
const OK: readonly h2.Header[] = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
]
const DONE: readonly h2.Header[] = [['grpc-status', '0']]
const MESSAGE = Buffer.alloc(5)
/** Of a field beside its name and value (RFC 9113, section 6.5.2). */
const AROUND_FIELD_BYTES = 32

describe('an unusual answer of a callee', () => {
  let field: Battlefield
  let caller: ClientHttp2Session
  let agents = 0
  before(async () => {
    field = await openBattlefield()
    caller = await field.mesh.connect(field.attacker)
  })
  after(() => field.close())

  async function answered(onCall: OnCall, session = caller) {
    agents += 1
    const peer = await field.hostile(`odd-${agents}`, (side) => {
      side.send(h2.settingsFrame())
      side.onFrame((got) => {
        if (got.type === h2.FRAME.HEADERS) onCall(side, got.stream)
      })
    })
    const got = await call(session, { ':authority': peer, 'grpc-timeout': '10S' })
    const record = field.mesh.records.findLast((one) => one.destination_host === peer)
    return { ...got, code: got.error?.code ?? null, record }
  }

  it('that is HTTP and not gRPC has the status that gRPC maps it to', async () => {
    const cases = {
      400: ['MESH_PEER_PROTOCOL', 'INTERNAL'],
      401: ['MESH_PEER_UNAUTHENTICATED', 'UNAUTHENTICATED'],
      403: ['MESH_PEER_FORBIDDEN', 'PERMISSION_DENIED'],
      404: ['MESH_PEER_UNIMPLEMENTED', 'UNIMPLEMENTED'],
      418: ['MESH_PEER_NOT_GRPC', 'UNKNOWN'],
      429: ['MESH_PEER_LOST', 'UNAVAILABLE'],
      500: ['MESH_PEER_NOT_GRPC', 'UNKNOWN'],
      502: ['MESH_PEER_LOST', 'UNAVAILABLE'],
      503: ['MESH_PEER_LOST', 'UNAVAILABLE'],
      504: ['MESH_PEER_LOST', 'UNAVAILABLE'],
    } as const
    for (const [http, [code, grpc]] of Object.entries(cases)) {
      const { error, status, record } = await answered((side, id) =>
        side.send(
          h2.headersFrame(id, [
            [':status', http],
            ['content-type', 'text/html'],
          ]),
          h2.frame(h2.FRAME.DATA, h2.FLAG.END_STREAM, id, Buffer.from('<html>')),
        ),
      )
      assert.deepEqual([error?.code, status], [code, GRPC_STATUS[grpc]], http)
      assert.equal(error?.facts.http_status, http)
      // the network let it down, policy did not
      assert.deepEqual([record?.reason, record?.action_allowed], [code, true])
    }
  })

  it('that ends with its head needs a status in it', async () => {
    const without = await answered((side, id) => side.send(h2.headersFrame(id, OK, LAST)))
    assert.equal(without.code, 'MESH_PEER_PROTOCOL')
    assert.equal(without.record?.grpc_status, GRPC_STATUS.INTERNAL)
    const complete = await answered((side, id) =>
      side.send(h2.headersFrame(id, [...OK, ['grpc-status', '5']], LAST)),
    )
    assert.deepEqual([complete.code, complete.status], [null, 5])
  })

  /** Trailers, or headers, with a field of a size, or several. */
  function large(bytes: number, where: 'headers' | 'trailers', fields = 1): OnCall {
    const one: h2.Header = ['x-large', 'x'.repeat(bytes / fields)]
    const more = Array.from({ length: fields }, () => one)
    const head = where === 'headers' ? [...OK, ...more] : OK
    const trailers = where === 'trailers' ? [...DONE, ...more] : DONE
    return (side, id) =>
      side.send(
        h2.headersFrames(id, head),
        h2.frame(h2.FRAME.DATA, 0, id, MESSAGE),
        h2.headersFrames(id, trailers, LAST),
      )
  }

  it('passes with 60 KiB of headers or trailers, as by Envoy', async () => {
    for (const bytes of [16_500, 61_440]) {
      const trailers = await answered(large(bytes, 'trailers'))
      assert.deepEqual([trailers.code, trailers.status], [null, 0])
      assert.equal(String(trailers.trailers['x-large']).length, bytes)
      const headers = await answered(large(bytes, 'headers'))
      assert.equal(headers.status, 0)
      assert.equal(String(headers.headers['x-large']).length, bytes)
    }
  })

  it('that is larger than 64 KiB has a reason of its own', async () => {
    for (const where of ['trailers', 'headers'] as const)
      for (const [bytes, fields] of [[MAX_METADATA_BYTES], [120_000, 4]] as const) {
        const { code, status, error, record } = await answered(large(bytes, where, fields))
        assert.equal(code, 'MESH_PEER_METADATA_SIZE', `${bytes} of ${where}`)
        assert.equal(status, GRPC_STATUS.RESOURCE_EXHAUSTED)
        assert.match(String(error?.publicMessage), new RegExp(`of ${where}; 65536 pass`))
        assert.equal(record?.reason, code)
      }
  })

  it('that is larger than its caller takes is told as that, and not sent', async () => {
    const narrow = await field.mesh.connect(field.attacker, { maxHeaderListSize: 16_384 })
    for (const where of ['trailers', 'headers'] as const) {
      const passes = await answered(large(16_000, where), narrow)
      assert.deepEqual([passes.code, passes.status], [null, 0])
      const { code, error } = await answered(large(20_000, where), narrow)
      assert.equal(code, 'MESH_PEER_METADATA_SIZE')
      assert.match(String(error?.publicMessage), /this client takes 16384/)
    }
  })

  it('is measured as HTTP/2 measures a list of fields', async () => {
    const rest = [...DONE, ['x-large', ''] as const]
    const others = rest.reduce((sum, [a, b]) => sum + a.length + b.length + AROUND_FIELD_BYTES, 0)
    const fits = await answered(large(MAX_METADATA_BYTES - others, 'trailers'))
    assert.equal(fits.status, 0)
    const beyond = await answered(large(MAX_METADATA_BYTES - others + 1, 'trailers'))
    assert.equal(beyond.code, 'MESH_PEER_METADATA_SIZE')
  })
})
