/** What is beyond the limits when policy allows less at once, and what is counted late: limits answer at once, or later. */
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import type { Bounds } from '../../../../mesh-gateway/src/egress/enter-limits.ts'
import type { LivePlace } from '../../../../mesh-gateway/src/egress/live/live-tunnel.ts'
import { createLateEntries, createTally } from '../../../../mesh-gateway/src/egress/live/trim.ts'
import type { Release } from '../../../../mesh-gateway/src/limits/limits.ts'
import { admittedUntil } from '../admitted.ts'

const UNLIMITED = {
  ...{ requestsPerMinute: null, burst: null, concurrentTunnels: null },
  ...{ concurrentRequests: null, maxBodyBytes: null },
}
type Own = { readonly [name in 'concurrentTunnels' | 'concurrentRequests']?: number | null }
const bounds = (own: Own, tenant: Own | null = null): Bounds => ({
  limits: { ...UNLIMITED, ...own },
  tenantLimits: tenant === null ? null : { ...UNLIMITED, ...tenant },
})
const NONE = bounds({})

function place(agent: string, tunnel = true, was = NONE): LivePlace {
  return {
    ...{ index: 0, age: 0, judgedBy: 0, endMs: 0, epoch: 0 },
    tunnel: {
      ...{ agent: { tenant: 'acme', agent }, admitted: admittedUntil(1), ip: '192.0.2.1', tunnel },
      ...{ generation: 1, bounds: was, counted: true, end: () => {} },
    },
  }
}
const TUNNELS = ['egress-tunnels:acme/a', 'egress-tunnels:acme']

describe('a tally of what is open', () => {
  it('lets as many in as policy allows, of an agent and of its tenant, and another when one leaves', () => {
    let now: Bounds | null = bounds({ concurrentTunnels: 2 }, { concurrentTunnels: 3 })
    const tally = createTally(() => now)
    const all = ['a', 'a', 'a', 'b', 'b'].map((agent) => place(agent))
    const entered = all.map((one) => tally.enter(one))
    assert.deepEqual(
      entered.map((keys) => keys !== null),
      [true, true, false, true, false],
    )
    assert.deepEqual(entered[0], TUNNELS)
    const [first, , third] = all
    assert.ok(first && third)
    // one that is not inside makes no room
    tally.leave(third)
    assert.equal(tally.enter(third), null)
    tally.leave(first)
    tally.leave(first)
    assert.deepEqual(tally.enter(third), TUNNELS)
    assert.equal(tally.enter(place('b')), null)
    now = null
    assert.deepEqual(tally.enter(place('a')), [], 'policy says nothing of it')
  })

  it('counts tunnels and requests apart, and nothing that policy does not bound', () => {
    const tally = createTally(() => bounds({ concurrentTunnels: 1, concurrentRequests: 1 }))
    assert.ok(tally.enter(place('a')))
    assert.deepEqual(tally.enter(place('a', false)), ['egress-requests:acme/a'])
    assert.equal(tally.enter(place('a')), null)
    assert.equal(tally.enter(place('a', false)), null)
    const free = createTally(() => bounds({ concurrentRequests: 1 }))
    for (let times = 0; times < 3; times += 1) assert.deepEqual(free.enter(place('a')), [])
  })

  it('names by what one has not been counted yet', () => {
    const tally = createTally(() => bounds({ concurrentTunnels: 9 }, { concurrentTunnels: 9 }))
    for (const [was, keys] of [
      [NONE, TUNNELS],
      [bounds({ concurrentTunnels: 5 }), ['egress-tunnels:acme']],
      [bounds({}, { concurrentTunnels: 5 }), ['egress-tunnels:acme/a']],
      [bounds({ concurrentTunnels: 5 }, { concurrentTunnels: 5 }), []],
      [bounds({ concurrentRequests: 5 }), TUNNELS],
    ] as const)
      assert.deepEqual(tally.enter(place('a', true, was)), keys)
  })
})

describe('a late count', () => {
  let entered: string[]
  let left: string[]
  let answers: ((leave: Release | null | Error) => void)[]
  const open = (later: boolean) => {
    entered = []
    left = []
    answers = []
    return createLateEntries({
      enter(key, max) {
        assert.equal(max, Number.MAX_SAFE_INTEGER)
        entered.push(key)
        const leave = () => void left.push(key)
        if (!later) return leave
        return new Promise((resolve, reject) => {
          answers.push((said) => {
            if (said instanceof Error) reject(said)
            else resolve(said === null ? null : leave)
          })
        })
      },
    })
  }
  const said = async (answer: Release | null | Error = () => {}) => {
    answers.shift()?.(answer)
    await turn()
  }

  it('enters one by each key once, and gives all back when it is forgotten', () => {
    const late = open(false)
    const [one, other] = [place('a'), place('b')]
    late.forget(one)
    late.count(one, ['x', 'y'])
    late.count(one, ['y', 'z'])
    late.count(other, ['x'])
    assert.deepEqual(entered, ['x', 'y', 'z', 'x'])
    late.forget(one)
    late.forget(one)
    assert.deepEqual(left, ['x', 'y', 'z'])
    late.count(one, ['x'])
    assert.deepEqual(entered.slice(4), ['x'])
    late.forget(other)
    assert.deepEqual(left, ['x', 'y', 'z', 'x'])
  })

  it('asks for one after another where limits answer later', async () => {
    const late = open(true)
    const [one, other] = [place('a'), place('b')]
    late.count(one, ['x', 'y'])
    late.count(other, ['z'])
    assert.deepEqual(entered, ['x'])
    await said()
    assert.deepEqual(entered, ['x', 'y'])
    await said()
    assert.deepEqual(entered, ['x', 'y', 'z'])
    await said()
    late.forget(one)
    assert.deepEqual(left, ['x', 'y'])
    // and goes on when more comes
    late.count(one, ['w'])
    assert.deepEqual(entered.at(-1), 'w')
  })

  it('gives back at once what was granted after it had ended, and asks for nothing more of it', async () => {
    const late = open(true)
    const one = place('a')
    late.count(one, ['x', 'y'])
    late.forget(one)
    await said()
    assert.deepEqual([entered, left], [['x'], ['x']])
  })

  it('holds nothing where it was granted nothing, and asks again after a failure', async () => {
    const late = open(true)
    const one = place('a')
    late.count(one, ['x', 'y'])
    await said(null)
    await said(new Error('away'))
    late.count(one, ['x', 'y'])
    assert.deepEqual(entered, ['x', 'y', 'y'])
    await said()
    late.forget(one)
    assert.deepEqual(left, ['y'])
  })
})
