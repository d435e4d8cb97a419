/** What may run and what may wait: bounds of all, of a tenant and of an agent, and which of those that wait runs next. */
import assert from 'node:assert/strict'
import { type FairBounds, FairQueue } from '../../../mesh-gateway/src/limits/fair-queue.ts'

/** Bounds that are not named are out of the way. */
function open(named: {
  readonly runs?: number
  readonly tenantRuns?: number
  readonly agentRuns?: number
  readonly waits?: number
  readonly tenantWaits?: number
  readonly agentWaits?: number
}) {
  const bounds: FairBounds = {
    running: named.runs ?? 100,
    runningPerTenant: () => named.tenantRuns ?? 100,
    runningPerAsker: () => named.agentRuns ?? 100,
    waiting: named.waits ?? 100,
    waitingPerTenant: () => named.tenantWaits ?? 100,
    waitingPerAsker: () => named.agentWaits ?? 100,
  }
  return new FairQueue<string>(bounds)
}
const ASKERS = ['t/a', 't/a', 't/b', 't/b', 'u/a', 'u/a']

describe('a fair queue', () => {
  for (const [whose, bounds, expected] of [
    ['all', { runs: 3 }, ['t/a', 't/a', 't/b']],
    ['a tenant', { tenantRuns: 2 }, ['t/a', 't/a', 'u/a', 'u/a']],
    ['an agent', { agentRuns: 1 }, ['t/a', 't/b', 'u/a']],
  ] as const) {
    it(`runs no more than the bound of ${whose}, and one more when one has left`, () => {
      const queue = open(bounds)
      const enter = () =>
        ASKERS.flatMap((asker) => {
          const place = queue.enter(asker)
          return place === null ? [] : [{ asker, place }]
        })
      const inside = enter()
      assert.deepEqual(
        inside.map(({ asker }) => asker),
        expected,
      )
      assert.deepEqual(enter(), [])
      // the second time it does nothing
      inside[0]?.place.leave()
      inside[0]?.place.leave()
      const [again, ...more] = enter()
      assert.equal(again?.asker, 't/a')
      assert.deepEqual(more, [])
      for (const { place } of [...inside, again]) place?.leave()
      assert.equal(queue.empty, true)
      assert.equal(enter().length, expected.length)
    })
  }

  for (const [whose, bounds, expected] of [
    ['all', { waits: 3 }, ['t/a', 't/a', 't/b']],
    ['tenant', { tenantWaits: 2 }, ['t/a', 't/a', 'u/a', 'u/a']],
    ['asker', { agentWaits: 1 }, ['t/a', 't/b', 'u/a']],
  ] as const) {
    it(`lets no more wait than the bound of ${whose}, says whose it is, and one more when one has gone`, () => {
      const queue = open({ ...bounds, runs: 0 })
      let pushed = 0
      const push = () =>
        ASKERS.flatMap((asker) => {
          const full = queue.fullFor(asker)
          pushed += 1
          const queued = queue.push(asker, `${asker} ${pushed}`)
          assert.equal(queued === null, full !== null)
          if (full !== null) assert.equal(full, whose)
          return queued === null ? [] : [{ asker, queued }]
        })
      const waiting = push()
      assert.deepEqual(
        waiting.map(({ asker }) => asker),
        expected,
      )
      assert.deepEqual(push(), [])
      assert.equal(queue.hasNext(), false, 'nothing may run')
      assert.equal(queue.shift(), null)
      assert.equal(waiting[0]?.queued.remove(), true)
      assert.equal(waiting[0]?.queued.remove(), false)
      const [again, ...more] = push()
      assert.equal(again?.asker, 't/a')
      assert.deepEqual(more, [])
      assert.equal(again?.queued.remove(), true)
      const left = queue.clear().map((waiter) => waiter.split(' ')[0])
      assert.deepEqual(left.toSorted(), expected.slice(1))
      assert.equal(queue.empty, true)
      for (const { queued } of push()) assert.equal(queued.remove(), true)
      assert.equal(queue.empty, true)
    })
  }

  it('lets nothing wait where a bound is none', () => {
    for (const [whose, bounds] of [
      ['asker', { agentWaits: 0 }],
      ['tenant', { tenantWaits: 0 }],
      ['all', { waits: 0 }],
      [null, { agentWaits: 1, tenantWaits: 1, waits: 1 }],
    ] as const) {
      const queue = open(bounds)
      assert.equal(queue.fullFor('t/a'), whose)
      assert.equal(queue.push('t/a', 'waits') === null, whose !== null)
    }
  })

  it('lets nobody of an agent go ahead of what waits of it, and remembers nobody that it refused', () => {
    const queue = open({ agentRuns: 1 })
    const first = queue.enter('t/a')
    assert.ok(queue.push('t/a', 'waits'))
    first?.leave()
    assert.equal(queue.enter('t/a'), null)
    assert.ok(queue.enter('t/b'), 'another agent does not wait for it')
    const next = queue.shift()
    assert.equal(next?.waiter, 'waits')
    assert.equal(queue.enter('t/a'), null, 'it runs')
    next?.place.leave()
    assert.ok(queue.enter('t/a'))
    const closed = open({ runs: 0 })
    assert.equal(closed.enter('t/a'), null)
    assert.equal(closed.empty, true)
  })

  it('keeps what runs when what waits is cleared', () => {
    const queue = open({ runs: 1 })
    const place = queue.enter('t/a')
    assert.ok(queue.push('t/a', 'one') && queue.push('u/b', 'two'))
    assert.deepEqual(queue.clear(), ['one', 'two'])
    assert.equal(queue.hasNext(), false)
    assert.equal(queue.empty, false)
    assert.equal(queue.enter('u/b'), null)
    place?.leave()
    assert.equal(queue.empty, true)
  })

  it('takes an asker without a slash for a tenant of its own', () => {
    const queue = open({ tenantRuns: 1 })
    assert.ok(queue.enter('mesh'))
    assert.equal(queue.enter('mesh'), null)
    assert.equal(queue.enter('mesh/a'), null, 'the same tenant')
    assert.ok(queue.enter('mesh2'))
  })

  it('serves the tenant with the fewest running, then the agent with the fewest, ties by least recently served', () => {
    const queue = open({ runs: 3, agentRuns: 2 })
    const places = ['t/a', 't/a', 'u/b'].map((asker) => queue.enter(asker))
    for (const asker of ['t/a', 't/c', 'u/b', 'u/d', 'v/e', 'v/e', 't/c']) queue.push(asker, asker)
    const order: string[] = []
    const free = [...places]
    while (free.length > 0) {
      free.shift()?.leave()
      for (let next = queue.shift(); next !== null; next = queue.shift()) {
        order.push(next.waiter)
        free.push(next.place)
      }
    }
    assert.deepEqual(order, ['v/e', 't/a', 'u/b', 'v/e', 't/c', 'u/d', 't/c'])
    assert.equal(queue.empty, true)
  })

  it('serves of tenants, and of agents, that run as many the one that was served longest ago', () => {
    for (const [first, second] of [
      ['t/a', 'u/b'],
      ['t/a', 't/b'],
    ] as const) {
      const queue = open({ runs: 3 })
      const places = [first, second, first].map((asker) => queue.enter(asker))
      queue.push(first, first)
      queue.push(second, second)
      places[0]?.leave()
      assert.equal(queue.shift()?.waiter, second)
    }
  })

  it('passes over an agent that has nothing waiting, and one that has all that it may have', () => {
    const queue = open({ runs: 4, agentRuns: 3 })
    const places = ['t/a', 't/b', 't/b', 't/b'].map((asker) => queue.enter(asker))
    queue.push('t/b', 'b')
    places[0]?.leave()
    assert.equal(queue.hasNext(), false, 'b has three that run')
    assert.equal(queue.shift(), null)
    queue.enter('t/a')
    places[1]?.leave()
    assert.equal(queue.hasNext(), true)
    assert.equal(queue.shift()?.waiter, 'b', 'a has fewer and wants none')
  })

  it('passes over a tenant and an agent that have all that they may have', () => {
    const queue = open({ tenantRuns: 2, agentRuns: 1 })
    const [a] = ['t/a', 't/b'].map((asker) => queue.enter(asker))
    queue.push('t/c', 'c')
    queue.push('t/b', 'b')
    assert.equal(queue.hasNext(), false)
    assert.equal(queue.shift(), null)
    a?.leave()
    assert.equal(queue.hasNext(), true)
    assert.equal(queue.shift()?.waiter, 'c', 'b has one that runs')
    assert.equal(queue.hasNext(), false)
  })
})
