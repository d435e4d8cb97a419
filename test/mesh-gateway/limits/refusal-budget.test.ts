import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createRefusalBudget } from '../../../mesh-gateway/src/limits/refusal-budget.ts'

describe('a budget of refusals', () => {
  const start = (perMinute: number) => {
    const clock = { ms: 0 }
    return { clock, budget: createRefusalBudget(perMinute, () => clock.ms) }
  }

  it('lets a sixth of a minute be spent at once, then says how long to wait', () => {
    const { budget, clock } = start(600)
    for (let count = 0; count < 100; count += 1) {
      assert.equal(budget.exhausted('a'), null)
      budget.spend('a')
    }
    assert.equal(budget.exhausted('a'), 100)
    assert.equal(budget.exhausted('b'), null)
    clock.ms = 100
    assert.equal(budget.exhausted('a'), null)
    budget.spend('a')
    assert.equal(budget.exhausted('a'), 100)
  })

  it('holds what was under way when it ran out against nobody for longer', () => {
    const { budget } = start(600)
    for (let count = 0; count < 10_000; count += 1) budget.spend('a')
    assert.equal(budget.exhausted('a'), 100)
  })

  it('counts what is cheap for less', () => {
    const { budget } = start(60)
    for (let count = 0; count < 90; count += 1) budget.spend('a', 0.1)
    assert.equal(budget.exhausted('a'), null)
    budget.spend('a', 0.1)
    assert.ok((budget.exhausted('a') ?? 0) > 0)
  })

  it('names the bound and when to try again', () => {
    const { budget } = start(600)
    const error = budget.refusal(1_500, 'this agent')
    assert.equal(error.code, 'MESH_RATE_LIMITED')
    assert.equal(error.retryAfterMs, 1_500)
    assert.match(error.message, /this agent.*600/)
  })
  it('lets one refusal be made at once however few are allowed in a minute', () => {
    const { budget, clock } = start(1)
    assert.equal(budget.exhausted('a'), null)
    budget.spend('a')
    assert.equal(budget.exhausted('a'), 60_000)
    // half a token is there
    clock.ms = 30_000
    assert.equal(budget.exhausted('a'), 30_000)
    clock.ms = 59_999.5
    assert.equal(budget.exhausted('a'), 1)
    clock.ms = 60_000
    assert.equal(budget.exhausted('a'), null)
  })

  it('goes by the clock of the process where none is given', () => {
    const budget = createRefusalBudget(1)
    budget.spend('a')
    const waitMs = budget.exhausted('a')
    assert.ok(waitMs !== null && waitMs > 0 && waitMs <= 60_000, `${waitMs}`)
  })

  it('forgets of ten thousand keys those alone that may be refused as often as ever', () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage: () => void = runInNewContext('gc')
    const { budget, clock } = start(600)
    const spendAll = (key: string) => {
      for (let count = 0; count < 100; count += 1) budget.spend(key)
    }
    collectGarbage()
    const before = process.memoryUsage().heapUsed
    for (let i = 0; i < 200_000; i += 1) {
      clock.ms += 10
      budget.spend(`key-${i}`)
      if (i % 500 === 0) spendAll('often')
    }
    collectGarbage()
    const grown = process.memoryUsage().heapUsed - before
    assert.ok(grown < 5_000_000, `${grown} bytes`)
    spendAll('often')
    for (let i = 0; i < 25_000; i += 1) budget.spend(`more-${i}`)
    assert.equal(budget.exhausted('often'), 100)
    clock.ms += 100
    assert.equal(budget.exhausted('often'), null)
  })
})
