/** Following a task at a peer that is broken or hostile. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { MeshError } from '@clawmesh/proto'
import { type ClientReadableStream, Metadata } from '@grpc/grpc-js'
import { type FollowOptions, follow } from '../../../agent-sdk/src/client/follow.ts'
import { silentLog } from '../../../agent-sdk/src/log.ts'
import { encodeEvent, type OutgoingBody } from '../../../agent-sdk/src/wire/event-codec.ts'
import { messages, type WireEvent } from '../../../agent-sdk/src/wire/messages.ts'
import { errorToStatus } from '../../../agent-sdk/src/wire/status-codec.ts'

const DONE: OutgoingBody = {
  kind: 'failed',
  state: 'failed',
  code: 'X',
  message: 'm',
  retryable: false,
}
const told = (seq: number, id = 'mine', body: OutgoingBody = { kind: 'message', text: `${seq}` }) =>
  messages.event.deserialize(encodeEvent({ id, seq, time: new Date(0) }, body))

type Stream = readonly (WireEvent | Error)[]

const unavailable = () =>
  Object.assign(new Error('gone'), { code: 14, details: 'gone', metadata: new Metadata() })

function streamOf(events: Stream): ClientReadableStream<WireEvent> {
  const readable = Readable.from(
    (async function* () {
      for (const event of events) {
        if (event instanceof Error) throw event
        yield event
      }
    })(),
  )
  readable.once('close', () => readable.emit('status'))
  return Object.assign(readable, {
    cancel: () => void readable.destroy(),
    getPeer: () => 'peer',
    getAuthContext: () => null,
    deserialize: () => assert.fail('is decoded already'),
  })
}

describe('following a task at a broken peer', () => {
  const run = async (streams: readonly Stream[], more: Partial<FollowOptions> = {}) => {
    const asked: string[] = []
    const seen: number[] = []
    let next = 0
    const take = (what: string) => {
      asked.push(what)
      const stream = streams[Math.min(next, streams.length - 1)] ?? []
      next += 1
      return streamOf(stream)
    }
    const events = follow({
      ...{ id: 'mine', afterSeq: 0, signal: new AbortController().signal, log: silentLog },
      ...{ idleMs: 5_000, giveUpMs: 60_000, startGiveUpMs: 20_000, refusal: () => null },
      delegate: () => take('delegate'),
      watch: (id, after) => take(`watch ${id} ${after}`),
      ...more,
    })
    const error = await (async () => {
      for await (const { seq } of events) seen.push(seq)
    })().then(
      () => null,
      (thrown: unknown) => (thrown instanceof MeshError ? thrown : assert.fail(String(thrown))),
    )
    return { asked, seen, error }
  }

  it('an event of another task ends it, and is not shown', async () => {
    const { seen, error } = await run([[told(1), told(2, 'other')]])
    assert.equal(error?.code, 'MESH_PEER_PROTOCOL')
    assert.deepEqual(seen, [1])
  })

  it('the first event may name the task that a key led to; a Watch may name no other', async () => {
    const found = await run([[told(1, 'earlier')], [told(2, 'earlier', DONE)]])
    assert.equal(found.error, null)
    assert.deepEqual(found.asked, ['delegate', 'watch earlier 1'])
    const watching = await run([[told(1, 'earlier')]], { delegate: null })
    assert.equal(watching.error?.code, 'MESH_PEER_PROTOCOL')
  })

  it('events that come twice, or come late, are shown once', async () => {
    const twice = await run([[told(1), told(1), told(2), told(1), told(3, 'mine', DONE)]])
    assert.deepEqual(twice.seen, [1, 2, 3])
    assert.equal(twice.error, null)
  })

  it('after a gap it asks from the last event before it, and of a peer that repeats the gap it asks five times', async () => {
    const mended = await run([
      [told(1), told(3)],
      [told(2), told(3, 'mine', DONE)],
    ])
    assert.deepEqual(mended.seen, [1, 2, 3])
    assert.deepEqual(mended.asked, ['delegate', 'watch mine 1'])
    const broken = await run([[told(1), told(3)], [told(3)]])
    assert.equal(broken.error?.code, 'MESH_PEER_PROTOCOL')
    assert.deepEqual(broken.seen, [1])
    assert.equal(broken.asked.length, 6)
  })

  it('nothing is shown after the end, and a stream that ends before the task is taken up again', async () => {
    const after = await run([[told(1, 'mine', DONE), told(2)]])
    assert.deepEqual(after.seen, [1])
    const short = await run([[told(1)], [told(2, 'mine', DONE)]])
    assert.deepEqual(short.seen, [1, 2])
  })

  it('gives up after its patience: sooner before anything came than after', async () => {
    const begun = [[told(1), unavailable()], [unavailable()]]
    const short = { giveUpMs: 500, startGiveUpMs: 0 }
    const long = { giveUpMs: 0, startGiveUpMs: 500 }
    const never = await run([[unavailable()]], short)
    assert.equal(never.error?.code, 'MESH_GATEWAY_UNREACHABLE')
    assert.deepEqual(never.asked, ['delegate'])
    assert.ok((await run(begun, short)).asked.length > 1)
    assert.deepEqual((await run(begun, long)).asked, ['delegate'])
    const again = await run([[unavailable()]], long)
    assert.ok(again.asked.length > 1 && again.asked.every((what) => what === 'delegate'))
  })

  it('a refused handshake is told before a task has begun, and waited for afterwards', async () => {
    const refusal = () => new MeshError('MESH_GATEWAY_UNTRUSTED')
    const first = await run([[unavailable()]], { refusal })
    assert.equal(first.error?.code, 'MESH_GATEWAY_UNTRUSTED')
    assert.equal(first.asked.length, 1)
    const running = await run([[told(1), unavailable()], [told(2, 'mine', DONE)]], { refusal })
    assert.deepEqual(running.seen, [1, 2])
  })

  it('after a cut, a refusal that is final ends at once', async () => {
    const error = (code: 'MESH_POLICY_NOT_ALLOWED' | 'MESH_IDENTITY_EXPIRED', resume: boolean) => {
      const facts = resume ? { resume: 'watch' } : {}
      const said = errorToStatus(new MeshError(code, undefined, { facts }))
      return Object.assign(new Error('refused'), said)
    }
    const cut = [told(1), error('MESH_POLICY_NOT_ALLOWED', true)]
    const final = await run([cut, [error('MESH_POLICY_NOT_ALLOWED', false)]])
    assert.equal(final.error?.code, 'MESH_POLICY_NOT_ALLOWED')
    assert.deepEqual(final.asked, ['delegate', 'watch mine 1'])
    const expired = error('MESH_IDENTITY_EXPIRED', false)
    const renewed = await run([cut, [expired], [expired], [told(2, 'mine', DONE)]])
    assert.deepEqual(renewed.seen, [1, 2])
  })
})
