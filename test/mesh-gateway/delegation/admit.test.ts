/** Who is let in, by rate and by number, whether limits answer at once or later. */
import assert from 'node:assert/strict'
import { createSpiffeTemplate, MeshError } from '@clawmesh/proto'
import { admit, takeTurn } from '../../../mesh-gateway/src/delegation/admit.ts'
import { createPermits } from '../../../mesh-gateway/src/delegation/permits.ts'
import type { Limits } from '../../../mesh-gateway/src/limits/limits.ts'
import { decideDelegation } from '../../../mesh-gateway/src/policy/decide/decide-delegation.ts'
import type { PolicySnapshot } from '../../../mesh-gateway/src/policy/snapshot.ts'
import { policyOf } from '../policy/policies.ts'

const caller = createSpiffeTemplate({ trustDomain: 'mesh.internal' }).agent('acme', 'planner')
const callee = { tenant: 'acme', agent: 'researcher' }

const policyWith = (delegation: object) =>
  policyOf({ acme: { delegation: { allow: [{ from: '*', to: '*' }], ...delegation } } })
const decisionOf = (policy: PolicySnapshot) =>
  decideDelegation({ caller, callee, method: 'a.B/C', withinChain: false }, policy)

for (const [kind, later] of [
  ['limits that answer at once', false],
  ['limits that are shared, and answer later', true],
] as const)
  describe(`an agent that calls, by ${kind}`, () => {
    /** What was asked, in turn; `full` and `waits` say which keys have no room. */
    const run = async (policy: PolicySnapshot, full: string | null, waits: string | null) => {
      const asked: string[] = []
      let inside = 0
      const give = <T>(value: T) => (later ? Promise.resolve(value) : value)
      const limits: Limits = {
        take(key, perMinute, burst) {
          asked.push(`take ${key} ${perMinute} ${burst}`)
          return give(key === waits ? 5_000 : null)
        },
        enter(key, max) {
          asked.push(`enter ${key} ${max}`)
          if (key === full) return give(null)
          inside += 1
          return give(() => {
            inside -= 1
          })
        },
      }
      const permits = createPermits()
      let admitted: unknown
      try {
        const answer = admit(caller, decisionOf(policy), policy, limits, permits)
        assert.equal(answer instanceof Promise, later && asked.length > 0)
        admitted = await answer
      } catch (error) {
        admitted =
          error instanceof MeshError
            ? `${error.code} ${error.retryAfterMs}: ${error.message}`
            : error
      }
      const held = inside
      permits.end()
      assert.equal(inside, 0, 'what it occupied is given back')
      return { admitted, asked, held }
    }
    const AGENT = 'delegation:acme/planner'

    it('is let in where policy sets no limit', async () => {
      assert.deepEqual(await run(policyWith({}), null, null), {
        ...{ admitted: caller, asked: [], held: 0 },
      })
    })

    const limits = { agents: { planner: { limits: { callsPerMinute: 25, concurrentStreams: 3 } } } }

    it('is counted by its rate and then by its calls', async () => {
      const policy = policyWith(limits)
      const asked = [`take ${AGENT} 25 3`, `enter ${AGENT} 3`]
      assert.deepEqual(await run(policy, null, null), { admitted: caller, asked, held: 1 })
      assert.deepEqual(await run(policy, AGENT, null), {
        admitted: 'MESH_LIMIT_CONCURRENCY 1000: 3 calls at once are allowed to this agent',
        ...{ asked, held: 0 },
      })
      assert.deepEqual(await run(policy, null, AGENT), {
        admitted: 'MESH_RATE_LIMITED 5000: 25 calls per minute are allowed to this agent',
        ...{ asked: asked.slice(0, 1), held: 0 },
      })
    })

    it('is counted for its tenant as well, after its own limits; nothing is kept where that is full', async () => {
      const TENANT = 'delegation:acme'
      const tenantLimits = { callsPerMinute: 600, concurrentStreams: 20 }
      const policy = policyWith({ ...limits, tenantLimits })
      const own = [`take ${AGENT} 25 3`, `enter ${AGENT} 3`]
      const all = [...own, `take ${TENANT} 600 60`, `enter ${TENANT} 20`]
      assert.deepEqual(await run(policy, null, null), { admitted: caller, asked: all, held: 2 })
      assert.deepEqual(await run(policy, TENANT, null), {
        admitted: 'MESH_LIMIT_CONCURRENCY 1000: 20 calls at once are allowed to its tenant',
        ...{ asked: all, held: 1 },
      })
      assert.deepEqual(await run(policy, null, TENANT), {
        admitted: 'MESH_RATE_LIMITED 5000: 600 calls per minute are allowed to its tenant',
        ...{ asked: all.slice(0, 3), held: 1 },
      })
      assert.deepEqual(await run(policy, AGENT, null), {
        admitted: 'MESH_LIMIT_CONCURRENCY 1000: 3 calls at once are allowed to this agent',
        ...{ asked: own, held: 0 },
      })
      const alone = policyWith({ tenantLimits })
      assert.deepEqual((await run(alone, null, null)).asked, all.slice(2))
      const few = policyWith({ tenantLimits: { callsPerMinute: 5 } })
      assert.deepEqual((await run(few, null, null)).asked, [`take ${TENANT} 5 1`])
    })

    it('that policy refuses counts against its rate, and is told the rate where it is over it', async () => {
      const refused = await run(policyWith({ ...limits, allow: [] }), null, null)
      assert.match(String(refused.admitted), /^MESH_POLICY_/)
      assert.deepEqual(refused.asked, [`take ${AGENT} 25 3`])
      const tooMany = await run(policyWith({ ...limits, allow: [] }), null, AGENT)
      assert.match(String(tooMany.admitted), /^MESH_RATE_LIMITED 5000/)
      const free = await run(policyWith({ allow: [] }), null, null)
      assert.match(String(free.admitted), /^MESH_POLICY_/)
      assert.deepEqual(free.asked, [])
    })
  })

describe('a turn at a callee', () => {
  const limited = policyWith({
    agents: { researcher: { peerLimits: { concurrentTasks: 2, queueLength: 5, queueMs: 700 } } },
  })

  it('is neither waited for nor judged for where the callee sets no limit', async () => {
    const waiting = { enter: () => assert.fail('nothing is waited for') }
    const judged = () => assert.fail('not judged')
    await takeTurn(caller, callee, policyWith({}), waiting, createPermits(), judged)
  })

  it('is waited for by the name of the callee and in the name of the caller, and given back with the call', async () => {
    const permits = createPermits()
    let inside = 0
    const asked: unknown[] = []
    const enter = async (...args: unknown[]) => {
      asked.push(args)
      inside += 1
      return () => {
        inside -= 1
      }
    }
    let judged = 0
    await takeTurn(caller, callee, limited, { enter }, permits, () => {
      judged += 1
      assert.equal(inside, 0, 'before it waits')
    })
    const room = {
      ...{ what: 'tasks of acme/researcher', most: 2, queueLength: 5, queueMs: 700 },
    }
    assert.deepEqual(asked, [['peer:acme/researcher', room, 'acme/planner', permits.gone()]])
    assert.deepEqual([judged, inside], [1, 1])
    permits.end()
    assert.equal(inside, 0)
  })

  it('is not waited for by a call that is refused anyway', async () => {
    const waiting = { enter: () => assert.fail('nothing is waited for') }
    const refused = new MeshError('MESH_CHAIN_LOOP_DETECTED')
    const turn = takeTurn(caller, callee, limited, waiting, createPermits(), () => {
      throw refused
    })
    await assert.rejects(turn, refused)
  })
})
