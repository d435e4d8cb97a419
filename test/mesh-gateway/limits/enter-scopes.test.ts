import assert from 'node:assert/strict'
import { createLimits } from '../../../mesh-gateway/src/limits/create-limits.ts'
import {
  enterScopes,
  type LimitScope,
  takeRate,
} from '../../../mesh-gateway/src/limits/enter-scopes.ts'
import type { Limits, Release } from '../../../mesh-gateway/src/limits/limits.ts'

const rate = (key: string, burst: number) => ({ key, perMinute: 60, burst, noun: 'calls' }) as const
const room = (key: string, most: number) => ({ key, most, noun: 'tunnels' }) as const
const agent = (over: Partial<LimitScope>): LimitScope => ({
  ...{ whose: 'this agent', rate: null, room: null },
  ...over,
})
const tenant = (over: Partial<LimitScope>): LimitScope => agent({ whose: 'its tenant', ...over })

/** The same limits, which answer a turn later, as those of another process do. */
function answeringLater(limits: Limits): Limits {
  return {
    take: async (...asked) => limits.take(...asked),
    enter: async (...asked) => limits.enter(...asked),
  }
}

for (const [how, limitsOf] of [
  ['counted here', () => createLimits(() => 0)],
  ['counted by another process', () => answeringLater(createLimits(() => 0))],
] as const)
  describe(`limits of an agent and its tenant, ${how}`, () => {
    let limits: Limits
    let held: Release[]
    beforeEach(() => {
      limits = limitsOf()
      held = []
    })
    const enter = async (scopes: readonly LimitScope[]) => {
      const error = await enterScopes(limits, scopes, {
        hold: (release) => void held.push(release),
      })
      return error === null ? null : `${error.code} ${error.message}`
    }

    it('lets in what has no limits', async () => {
      assert.equal(await enter([]), null)
      assert.equal(await enter([agent({}), tenant({})]), null)
      assert.equal(held.length, 0)
    })

    it('refuses at the rate of the agent, and says when to come again', async () => {
      const scopes = [agent({ rate: rate('a', 2) })]
      assert.deepEqual(await Promise.all([enter(scopes), enter(scopes)]), [null, null])
      const error = await enterScopes(limits, scopes, { hold() {} })
      assert.equal(error?.code, 'MESH_RATE_LIMITED')
      assert.match(String(error?.message), /60 calls per minute are allowed to this agent/)
      assert.equal(error?.retryAfterMs, 1000)
    })

    it('refuses at the rate of the tenant after the agent has entered', async () => {
      const scopes = [agent({ room: room('a', 9) }), tenant({ rate: rate('t', 1) })]
      assert.equal(await enter(scopes), null)
      assert.match(String(await enter(scopes)), /^MESH_RATE_LIMITED .*allowed to its tenant/)
      // the caller holds the permit of the agent, and gives it back
      assert.equal(held.length, 2)
    })

    it('refuses at what may be open at once, until a permit is released', async () => {
      const scopes = [agent({ room: room('a', 5) }), tenant({ room: room('t', 1) })]
      assert.equal(await enter(scopes), null)
      assert.match(
        String(await enter(scopes)),
        /^MESH_LIMIT_CONCURRENCY .*1 tunnels at once are allowed to its tenant/,
      )
      for (const release of held.splice(0)) release()
      assert.equal(await enter(scopes), null)
    })

    it('does not enter the tenant when the agent is refused', async () => {
      const scopes = [agent({ room: room('a', 1) }), tenant({ room: room('t', 9) })]
      assert.equal(await enter(scopes), null)
      assert.match(String(await enter(scopes)), /allowed to this agent/)
      assert.equal(held.length, 2)
      // eight more places of the tenant are free, and the ninth is not
      for (let i = 0; i < 8; i += 1)
        assert.equal(await enter([tenant({ room: room('t', 9) })]), null)
      assert.match(String(await enter([tenant({ room: room('t', 9) })])), /its tenant/)
    })

    it('does not take a place when the rate is spent', async () => {
      const scopes = [agent({ rate: rate('a', 1), room: room('a', 9) })]
      assert.equal(await enter(scopes), null)
      assert.match(String(await enter(scopes)), /^MESH_RATE_LIMITED/)
      assert.equal(held.length, 1)
    })

    it('passes on what the holder of permits throws, and goes no further', async () => {
      let entered = 0
      const scopes = [agent({ room: room('a', 9) }), tenant({ room: room('t', 9) })]
      const hold = (release: Release) => {
        entered += 1
        release()
        throw new Error('the call has ended')
      }
      await assert.rejects(async () => await enterScopes(limits, scopes, { hold }), /has ended/)
      assert.equal(entered, 1)
    })

    it('takes a rate alone', async () => {
      assert.equal(await takeRate(limits, rate('a', 1), 'its tenant'), null)
      const error = await takeRate(limits, rate('a', 1), 'its tenant')
      assert.match(String(error?.message), /60 calls per minute are allowed to its tenant/)
    })
  })

describe('limits that are counted here', () => {
  it('are entered without a promise', () => {
    const scopes = [
      agent({ rate: rate('a', 1), room: room('a', 1) }),
      tenant({ rate: rate('t', 9), room: room('t', 9) }),
    ]
    const limits = createLimits(() => 0)
    assert.equal(enterScopes(limits, scopes, { hold() {} }), null)
    assert.ok(!(enterScopes(limits, scopes, { hold() {} }) instanceof Promise))
  })
})
