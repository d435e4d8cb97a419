/** Calls that may be repeated. */
import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import { Metadata, status } from '@grpc/grpc-js'
import { retryUnary } from '../../../agent-sdk/src/client/retry-unary.ts'

const failing = (code: number) =>
  Object.assign(new Error(String(code)), { code, details: '', metadata: new Metadata() })

describe('a call that may be repeated', () => {
  const run = async (
    outcomes: readonly (Error | string)[],
    more: Partial<Parameters<typeof retryUnary>[1]> = {},
  ) => {
    let calls = 0
    const answer = await retryUnary<string>(
      async () => {
        const outcome = outcomes[Math.min(calls, outcomes.length - 1)]
        calls += 1
        if (typeof outcome !== 'string') throw outcome
        return outcome
      },
      { forMs: 60_000, signal: new AbortController().signal, refusal: () => null, ...more },
    ).catch((error: unknown) => (error instanceof MeshError ? error.code : assert.fail()))
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
