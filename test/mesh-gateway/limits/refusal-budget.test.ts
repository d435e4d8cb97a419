import assert from 'node:assert/strict'
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
})
