/** A client may reset its stream as soon as it has the last message: the answer decides what the record says. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ClientHttp2Session, ServerHttp2Stream } from 'node:http2'
import { constants } from 'node:http2'
import { type Fixture, frame, makeFixture } from '../fixture.ts'

const CALLS = 200

describe('a client that resets its stream with the last message', () => {
  let fixture: Fixture
  let session: ClientHttp2Session
  let answering: ServerHttp2Stream | null = null
  before(async () => {
    fixture = await makeFixture()
    const planner = await fixture.ca.agentDir({ tenant: 'acme', agent: 'planner' })
    session = await fixture.connect(await fixture.ca.open(planner))
    await fixture.peer('researcher', (stream) => {
      answering = stream
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc' },
        { waitForTrailers: true },
      )
      stream.once('wantTrailers', () => {
        stream.sendTrailers({ 'grpc-status': '0' })
        stream.emit('answered')
      })
      stream.resume()
      stream.once('end', () => stream.write(frame(Buffer.from('the last message'))))
    })
  })
  after(() => fixture.close())

  /** The record of a call that its client resets when it has the message. */
  async function reset(atFirst: (callee: ServerHttp2Stream) => Promise<unknown>) {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/test.v1.Echo/Unary',
      ':authority': 'researcher.acme.mesh.internal',
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    stream.on('error', () => {})
    const record = fixture.nextRecord()
    stream.end(frame(Buffer.from('hello')))
    await once(stream, 'data')
    assert.ok(answering)
    await atFirst(answering)
    stream.close(constants.NGHTTP2_CANCEL)
    const { grpc_status, reason } = await record
    return `${grpc_status} ${reason}`
  }

  it('has had its success when the callee has ended the call too', async () => {
    const seen = new Map<string, number>()
    for (let n = 0; n < CALLS; n += 1) {
      const outcome = await reset((callee) => {
        callee.end()
        return once(callee, 'answered')
      })
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1)
    }
    assert.deepEqual([...seen], [['0 null', CALLS]])
  })

  it('has cancelled a call that the callee goes on with', async () => {
    assert.equal(await reset(async () => {}), '1 MESH_CALL_CANCELED')
  })
})
