/** The handle of a task: its result, its events, and the ways to stop and to answer it. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { getEventListeners } from 'node:events'
import { mock } from 'node:test'
import { MeshError } from '@clawmesh/proto'
import { createDelegation, type DelegationPort } from '../../../agent-sdk/src/client/delegation.ts'
import type { TaskInfo } from '../../../agent-sdk/src/model/task-event.ts'
import type { IncomingBody, IncomingEvent } from '../../../agent-sdk/src/wire/event-codec.ts'

const message = (text: string): IncomingBody => ({ kind: 'message', text })
const RESULT: IncomingBody = {
  kind: 'result',
  piece: {
    output: [{ media_type: '', content: 'text', text: 'done' }],
    more: false,
    continues: false,
  },
}
const FAILED: IncomingBody = {
  ...{ kind: 'failed', state: 'failed', code: 'MESH_TASK_FAILED', message: 'broke' },
  retryable: false,
}
const ARTIFACT: IncomingBody = {
  ...{ kind: 'artifact', name: 'f', mediaType: '', index: 0, data: Buffer.from('ab'), last: true },
  sha256: createHash('sha256').update('ab').digest('hex'),
}
const INFO: TaskInfo = {
  ...{ id: 'mine', skill: 's', state: 'working', caller: 'c', lastSeq: 1, labels: {} },
  ...{ created: new Date(0), updated: new Date(0), failure: null, pendingInputs: [] },
}
const events = (bodies: readonly IncomingBody[], id = 'mine', first = 1): IncomingEvent[] =>
  bodies.map((body, index) => ({ id, seq: first + index, time: new Date(0), body }))
const turn = async () => {
  for (let i = 0; i < 5; i += 1) await new Promise(setImmediate)
}

describe('a delegation', () => {
  const start = (
    stream: readonly IncomingEvent[] | Error,
    more: Partial<DelegationPort> & { readonly holds?: boolean } = {},
  ) => {
    const asked: string[] = []
    let ends = 0
    const letGo = new AbortController()
    const untilAborted = (signal: AbortSignal) =>
      new Promise<never>((_, reject) => {
        if (signal.aborted) reject(signal.reason)
        signal.addEventListener('abort', () => reject(signal.reason))
      })
    const delegation = createDelegation({
      ...{
        id: 'mine',
        peer: 'b.acme',
        traceId: '',
        rootId: null,
        checkOutput: () => {},
        complete: true,
        maxResultBytes: 1e6,
      },
      ...{ detached: false, held: false, gather: true, signal: letGo.signal },
      async *follow(signal) {
        if (stream instanceof Error) throw stream
        yield* stream
        if (more.holds === true) await untilAborted(signal)
      },
      async *replay(id, after, signal) {
        signal.throwIfAborted()
        asked.push(`replay ${id} ${after}`)
        if (!(stream instanceof Error)) yield* stream.filter(({ seq }) => seq > after)
      },
      async cancel(id, reason) {
        asked.push(`cancel ${id} ${reason}`)
        return INFO
      },
      async get(id) {
        asked.push(`get ${id}`)
        return INFO
      },
      async sendInput(id, inputId, answer) {
        asked.push(`answer ${id} ${inputId} ${answer.length}`)
        return INFO
      },
      onOutcome: () => {},
      onEnd() {
        ends += 1
      },
      ...more,
    })
    return { delegation, asked, letGo, ends: () => ends }
  }
  const seqs = async (of: AsyncIterable<{ readonly seq: number }>) => {
    const seen: number[] = []
    for await (const { seq } of of) seen.push(seq)
    return seen
  }

  it('brings its result, the same each time, and ends once', async () => {
    const { delegation, ends } = start(events([message('a'), ARTIFACT, RESULT]))
    assert.deepEqual([delegation.id, delegation.peer], ['mine', 'b.acme'])
    const result = await delegation.result()
    assert.equal(result.text(), 'done')
    assert.equal(result.artifacts.get('f')?.bytes.length, 2)
    assert.equal(await delegation.result(), result)
    await turn()
    assert.equal(ends(), 1)
  })

  it('gathers no artifacts where they are streamed, and says so where they are too large to be gathered', async () => {
    const streamed = start(events([ARTIFACT, RESULT]), { gather: false })
    assert.equal((await streamed.delegation.result()).artifacts.size, 0)
    const large = start(events([ARTIFACT, RESULT]), { maxResultBytes: 600 })
    await assert.rejects(large.delegation.result(), { code: 'MESH_LIMIT_SIZE' })
  })

  it('fails with the code of the task, and a handle that nobody asks ends no process', async () => {
    await assert.rejects(start(events([FAILED])).delegation.result(), {
      ...{ code: 'MESH_TASK_FAILED', message: 'broke' },
    })
    start(events([FAILED]))
    start(new MeshError('MESH_PEER_UNREACHABLE'))
    await turn()
  })

  it('fails with what ended its stream; a fault of our own is named as one', async () => {
    const refused = new MeshError('MESH_POLICY_NOT_ALLOWED')
    const one = start(refused)
    await assert.rejects(one.delegation.result(), refused)
    await assert.rejects(seqs(start(refused).delegation), refused)
    assert.deepEqual(one.asked, [], 'nothing is cancelled that never began')
    const fault = new TypeError('x')
    await assert.rejects(start(fault).delegation.result(), {
      ...{ code: 'MESH_GATEWAY_INTERNAL', cause: fault },
    })
  })

  it('gives its events once as they come, and to each further reader from the first one on', async () => {
    const { delegation, asked } = start(events([message('a'), message('b'), RESULT]))
    assert.deepEqual(await seqs(delegation), [1, 2, 3])
    assert.deepEqual(asked, [])
    assert.deepEqual(await seqs(delegation), [1, 2, 3])
    assert.deepEqual(asked, ['replay mine 0'])
  })

  it('takes the id of the task that answers, and all that is asked is asked of that', async () => {
    const { delegation, asked } = start(events([message('a'), RESULT], 'earlier'))
    assert.equal((await delegation.result()).id, 'earlier')
    assert.equal(delegation.id, 'earlier')
    await delegation.cancel()
    await delegation.sendInput('x', '7')
    assert.deepEqual(asked, ['cancel earlier the caller cancelled it', 'answer earlier 7 1'])
  })

  it('is followed to its end by itself once its result is wanted, however many events nobody takes', async () => {
    const many = events([...Array.from({ length: 1_000 }, () => message('m')), RESULT])
    const { delegation, asked } = start(many)
    await turn()
    assert.equal((await delegation.result()).text(), 'done')
    assert.equal((await seqs(delegation)).length, 1_001, 'and the events are there all the same')
    assert.deepEqual(asked, ['replay mine 0'])
  })

  it('goes on by a second look where its reader was too slow while the result was wanted', async () => {
    const many = events([...Array.from({ length: 1_000 }, () => message('m')), RESULT])
    const { delegation, asked } = start(many)
    const reader = delegation[Symbol.asyncIterator]()
    assert.equal((await reader.next()).value?.seq, 1)
    await turn()
    await delegation.result()
    let last = 1
    for (;;) {
      const { value, done } = await reader.next()
      if (done === true) break
      assert.equal(value.seq, last + 1)
      last = value.seq
    }
    assert.equal(last, 1_001)
    assert.equal(asked.length, 1)
  })

  it('goes on when its reader leaves', async () => {
    const many = events([...Array.from({ length: 1_000 }, () => message('m')), RESULT])
    const { delegation, ends } = start(many)
    for await (const { seq } of delegation) if (seq === 2) break
    await turn()
    assert.equal(ends(), 1)
  })

  describe('that is let go of', () => {
    it('is cancelled at the peer with the reason, and fails with it', async () => {
      const { delegation, asked, letGo, ends } = start(events([message('a')]), { holds: true })
      await turn()
      letGo.abort(new MeshError('MESH_CALL_DEADLINE', 'too late'))
      await assert.rejects(delegation.result(), { code: 'MESH_CALL_DEADLINE' })
      await turn()
      assert.deepEqual(asked, ['cancel mine too late'])
      assert.equal(ends(), 1)
    })

    it('is left alone where it is detached', async () => {
      const { delegation, asked, letGo } = start(events([message('a')]), {
        ...{ holds: true, detached: true },
      })
      await turn()
      letGo.abort(new MeshError('MESH_CALL_CANCELED'))
      await assert.rejects(delegation.result(), { code: 'MESH_CALL_CANCELED' })
      await turn()
      assert.deepEqual(asked, [])
    })

    it('ends for its reader, and though the peer cannot be told', async () => {
      const { delegation, letGo, ends } = start(events([message('a')]), {
        holds: true,
        async cancel() {
          throw new MeshError('MESH_PEER_UNREACHABLE')
        },
      })
      const reading = seqs(delegation)
      await turn()
      letGo.abort(new Error('of no code'))
      await assert.rejects(reading, { code: 'MESH_CALL_CANCELED' })
      await turn()
      assert.equal(ends(), 1)
      assert.equal(getEventListeners(letGo.signal, 'abort').length, 0)
    })
  })

  describe('that is cancelled', () => {
    it('resolves with the task as it then stands, once the peer is known to have it', async () => {
      const { delegation, asked } = start(events([message('a')]), { holds: true })
      assert.equal(await delegation.cancel('no longer needed'), INFO)
      assert.deepEqual(asked, ['cancel mine no longer needed'])
    })

    it('asks all the same after five seconds, or when it never got there', async () => {
      mock.timers.enable({ apis: ['setTimeout'] })
      try {
        const { delegation, asked } = start([], { holds: true })
        const cancelled = delegation.cancel()
        await turn()
        mock.timers.tick(4_999)
        await turn()
        assert.deepEqual(asked, [])
        mock.timers.tick(1)
        await cancelled
        assert.equal(asked.length, 1)
        const refused = start(new MeshError('MESH_PEER_UNREACHABLE'))
        await refused.delegation.cancel()
        assert.equal(refused.asked.length, 1)
      } finally {
        mock.timers.reset()
      }
    })

    it('is let go of on this side where the peer cannot be told, and says so', async () => {
      const lost = new MeshError('MESH_PEER_UNREACHABLE')
      const { delegation } = start(events([message('a')]), {
        holds: true,
        async cancel() {
          throw lost
        },
      })
      await assert.rejects(delegation.cancel('enough'), lost)
      await assert.rejects(delegation.result(), { code: 'MESH_TASK_CANCELED', message: 'enough' })
    })
  })

  it('is answered by the question that is named, or by the only one that is open', async () => {
    const answer = async (pendingInputs: readonly string[], inputId?: string) => {
      const { delegation, asked } = start(events([message('a')]), {
        holds: true,
        get: async () => ({ ...INFO, pendingInputs }),
      })
      await delegation.sendInput('yes', inputId)
      return asked
    }
    assert.deepEqual(await answer([], '5'), ['answer mine 5 1'])
    assert.deepEqual(await answer(['3']), ['answer mine 3 1'])
    await assert.rejects(answer(['3', '4']), TypeError)
    // an answer to no question would be one to whatever is asked while it is sent again
    await assert.rejects(answer([]), { code: 'MESH_TASK_INPUT_UNEXPECTED' })
  })
})
