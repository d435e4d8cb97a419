/** Calls that may be repeated. */
import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import { Metadata, status } from '@grpc/grpc-js'
import { createFirstContact } from '../../../agent-sdk/src/client/first-contact.ts'
import {
  type RetryUnaryOptions,
  retryUnary,
  type UnaryChoices,
} from '../../../agent-sdk/src/client/retry-unary.ts'
import { silentLog } from '../../../agent-sdk/src/log.ts'

const failing = (code: number) =>
  Object.assign(new Error(String(code)), { code, details: '', metadata: new Metadata() })

describe('a call that may be repeated', () => {
  const bytes = (given: Buffer) => given
  const method = { path: '/a.B/C', serialize: bytes, deserialize: bytes }
  const run = async (
    outcomes: readonly (Error | string)[],
    more: Partial<RetryUnaryOptions> & {
      signal?: AbortSignal
      unreached?: boolean
      stands?: UnaryChoices['stands']
    } = {},
  ) => {
    const { signal = new AbortController().signal, unreached = false, stands, ...options } = more
    let calls = 0
    const refusal = () => null
    const contact = createFirstContact({ target: 'gw:1', log: silentLog, refusal })
    if (!unreached) contact.made()
    const call = retryUnary({
      ...{ contact, refusal, forMs: 60_000, ...options },
      connection: {
        async unary({ deserialize }) {
          const outcome = outcomes[Math.min(calls, outcomes.length - 1)]
          calls += 1
          if (typeof outcome !== 'string') throw outcome
          return deserialize(Buffer.from(outcome))
        },
      },
    })
    const choices = { authority: 'b', ...(stands === undefined ? {} : { stands }) }
    const answer = await call(method, Buffer.alloc(0), choices, signal).then(
      String,
      (error: unknown) => (error instanceof MeshError ? error.code : assert.fail()),
    )
    return { answer, calls }
  }

  it('is repeated while the connection is at fault, until it is answered', async () => {
    const lost = failing(status.UNAVAILABLE)
    assert.deepEqual(await run([lost, failing(status.INTERNAL), 'the answer']), {
      answer: 'the answer',
      calls: 3,
    })
  })

  it('is not repeated when the answer stands', async () => {
    const refused = failing(status.PERMISSION_DENIED)
    assert.deepEqual(await run([refused, 'late']), { answer: 'MESH_POLICY_NOT_ALLOWED', calls: 1 })
    // it may have been done: what an unanswered call meets in the middle of an answer is not lost
    const unknown = failing(status.DEADLINE_EXCEEDED)
    assert.deepEqual(await run([unknown, 'late']), { answer: 'MESH_CALL_DEADLINE', calls: 1 })
  })

  it('is not repeated for what its caller takes for an answer', async () => {
    const stands: UnaryChoices['stands'] = (code) => code === 'MESH_GATEWAY_UNREACHABLE'
    const outcomes = [failing(status.INTERNAL), failing(status.UNAVAILABLE), 'late']
    const { answer, calls } = await run(outcomes, { stands })
    assert.deepEqual({ answer, calls }, { answer: 'MESH_GATEWAY_UNREACHABLE', calls: 2 })
  })

  it('is repeated whatever its time, and when our own clock ended it, while the gateway was never reached', async () => {
    const outcomes = [failing(status.DEADLINE_EXCEEDED), failing(status.UNAVAILABLE), 'the answer']
    const said = { answer: 'the answer', calls: 3 }
    assert.deepEqual(await run(outcomes, { unreached: true, forMs: 0.001 }), said)
    const stands = [failing(status.NOT_FOUND), 'late']
    const not = { answer: 'MESH_TASK_NOT_FOUND', calls: 1 }
    assert.deepEqual(await run(stands, { unreached: true }), not)
  })

  it('is not repeated when its time is over', async () => {
    const lost = failing(status.UNAVAILABLE)
    const said = { answer: 'MESH_GATEWAY_UNREACHABLE', calls: 1 }
    assert.deepEqual(await run([lost, 'late'], { forMs: 0 }), said)
    assert.ok((await run([lost], { forMs: 120 })).calls >= 2)
  })

  it('ends with the reason of a refused connection, which no further try would mend', async () => {
    const refusal = () => new MeshError('MESH_GATEWAY_UNTRUSTED')
    const lost = failing(status.UNAVAILABLE)
    assert.deepEqual(await run([lost, 'late'], { refusal }), {
      answer: 'MESH_GATEWAY_UNTRUSTED',
      calls: 1,
    })
    assert.deepEqual(await run([failing(status.NOT_FOUND)], { refusal }), {
      answer: 'MESH_TASK_NOT_FOUND',
      calls: 1,
    })
  })

  it('is not repeated once it was let go of: neither before nor while it waits, and what went wrong is said', async () => {
    const lost = failing(status.UNAVAILABLE)
    const said = { answer: 'MESH_GATEWAY_UNREACHABLE', calls: 1 }
    assert.deepEqual(await run([lost, 'late'], { signal: AbortSignal.abort() }), said)
    const controller = new AbortController()
    const running = run([lost, 'late'], { signal: controller.signal })
    setImmediate(() => controller.abort())
    assert.deepEqual(await running, said)
  })
})
