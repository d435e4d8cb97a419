/** A reader that stops reading costs the callee what flow control lets through and no more; others go on. */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { ServerWritableStream } from '@grpc/grpc-js'
import { streamEvents } from '../../../agent-sdk/src/server/stream-events.ts'
import { type StandInMesh, startStandInMesh } from '../stand-in/mesh.ts'

const CHUNKS = 24
const MIB = 1024 * 1024

describe('a slow reader holds bounded memory', () => {
  let mesh: StandInMesh
  before(async () => {
    mesh = await startStandInMesh()
    await mesh.serve({
      skills: {
        async floods(_task, ctx) {
          await ctx.artifact('flood', Buffer.alloc(CHUNKS * MIB, 1))
          return 'done'
        },
      },
    })
  })
  after(() => mesh.close())

  it('a reader that comes back after the end still gets every event', async () => {
    const delegation = mesh.a.delegate('b', { skill: 'floods' })
    const reader = delegation[Symbol.asyncIterator]()
    const first = await reader.next()
    assert.equal(first.value?.kind, 'accepted')
    // reads nothing more until the task has ended at the callee
    while ((await mesh.a.get('b', delegation.id)).state === 'working')
      await new Promise(setImmediate)
    const seqs: number[] = []
    for (;;) {
      const { value, done } = await reader.next()
      if (done === true) break
      seqs.push(value.seq)
    }
    assert.deepEqual(
      seqs,
      Array.from({ length: CHUNKS + 2 }, (_, i) => i + 2),
    )
    assert.equal((await delegation.result()).artifacts.get('flood')?.bytes.length, CHUNKS * MIB)
  })

  it('result() comes although the events that somebody began to read are not taken', async () => {
    const delegation = mesh.a.delegate('b', { skill: 'floods' })
    const reader = delegation[Symbol.asyncIterator]()
    await reader.next()
    assert.equal((await delegation.result()).text(), 'done')
    const rest: number[] = []
    for (let next = await reader.next(); next.done !== true; next = await reader.next())
      rest.push(next.value.seq)
    assert.equal(rest.at(-1), CHUNKS + 3)
    assert.equal(rest.length, CHUNKS + 2)
  })

  it('the callee hands the transport one message beyond its bound, and the next when that one is gone', () => {
    const call = Object.assign(new EventEmitter(), {
      writes: [] as (() => void)[],
      write: (_bytes: Buffer, done: () => void) => call.writes.push(done),
      end: () => {},
    })
    let seq = 0
    const reader = {
      id: 'x',
      next() {
        seq += 1
        return { seq, bytes: Buffer.alloc(200 * 1024) }
      },
      done: () => false,
      onChange: () => {},
      close: () => {},
    }
    const stream = call as unknown as ServerWritableStream<object, Buffer>
    streamEvents(stream, reader, { heartbeatMs: 60_000, now: Date.now })
    assert.equal(call.writes.length, 2)
    call.writes[0]?.()
    assert.equal(call.writes.length, 3)
    call.emit('cancelled')
    call.writes[1]?.()
    assert.equal(call.writes.length, 3, 'nothing more after the reader has gone')
  })
})
