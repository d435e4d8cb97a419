import assert from 'node:assert/strict'
import { StepBudget } from '../../../../mesh-gateway/src/policy/compile/step-budget.ts'
import { callableOf } from '../../../../mesh-gateway/src/policy/decide/callable.ts'
import type { PolicySnapshot } from '../../../../mesh-gateway/src/policy/index.ts'
import { policyOf } from '../policies.ts'

const planner = { tenant: 'acme', agent: 'planner' }
const researcher = { tenant: 'acme', agent: 'researcher' }
const translator = { tenant: 'globex', agent: 'translator' }

function askable(callee: typeof researcher, policy: PolicySnapshot, withinChain = false) {
  const found = callableOf({ caller: planner, callee, withinChain }, policy)
  const budget = new StepBudget()
  return {
    budget,
    service: (name: string) => found.service(name, budget),
    method: (service: string, name: string) => found.method(service, name, budget),
  }
}

describe('what a caller may call of a callee', () => {
  const callable = (
    delegation: object,
    callee = researcher,
    { globex = {}, withinChain = false, mode = 'enforce' } = {},
  ) =>
    askable(
      callee,
      policyOf({ acme: { mode, delegation }, globex: { delegation: globex } }),
      withinChain,
    )
  const rule = (...methods: string[]) => ({ from: 'planner', to: 'researcher', methods })

  it('is a service of which one method or all are allowed, and no other', () => {
    const one = callable({ allow: [rule('a.B/Get', 'c.D/*')] })
    assert.deepEqual(
      ['a.B', 'c.D', 'a.Bc', 'a', 'a.B.C'].filter((name) => one.service(name)),
      ['a.B', 'c.D'],
    )
    assert.ok(one.method('a.B', 'Get'))
    assert.ok(!one.method('a.B', 'Put'))
    assert.ok(one.method('c.D', 'Anything'))
  })

  it('is nothing without a rule, and all with a rule for any method', () => {
    assert.ok(!callable({}).service('a.B'))
    assert.ok(callable({ allow: [{ from: 'planner', to: '*' }] }).service('a.B'))
    assert.ok(callable({}, researcher, { mode: 'audit' }).service('a.B'), 'audit lets it through')
  })

  it('loses a service that is denied, and keeps one of which a method is', () => {
    const allow = [{ from: 'planner', to: 'researcher' }]
    assert.ok(!callable({ allow, deny: [rule('a.B/*')] }).service('a.B'))
    const denied = callable({ allow, deny: [rule('a.B/Get')] })
    assert.ok(denied.service('a.B'))
    assert.ok(!denied.method('a.B', 'Get'))
    const only = callable({ allow: [rule('a.B/Get')], deny: [rule('a.B/Get')] })
    assert.ok(!only.service('a.B'))
  })

  it('needs both tenants across a border', () => {
    const allow = [{ from: 'planner', to: 'globex/translator', methods: ['a.B/*'] }]
    assert.ok(!callable({ allow }, translator).service('a.B'))
    const globex = {
      accept: [{ from: 'acme/planner', to: 'translator', methods: ['a.B/Get', 'x.Y/*'] }],
    }
    const both = callable({ allow }, translator, { globex })
    assert.ok(both.service('a.B'))
    assert.ok(both.method('a.B', 'Get'))
    assert.ok(!both.method('a.B', 'Put'))
    assert.ok(!both.service('x.Y'))
  })

  it('is nothing to one that may not originate, outside a chain', () => {
    const policy = {
      allow: [{ from: 'planner', to: 'researcher' }],
      agents: { planner: { mayOriginate: false } },
    }
    assert.ok(!callable(policy).service('a.B'))
    assert.ok(callable(policy, researcher, { withinChain: true }).service('a.B'))
  })

  it('takes no name for more than it says', () => {
    const one = callable({ allow: [rule('a.B/*')] })
    for (const name of ['a.B/Get', '', '/', 'a.B ', 'a.B\n', '.a.B', '*'])
      assert.ok(!one.service(name), JSON.stringify(name))
    assert.ok(!one.method('a.B', ''))
    assert.ok(!one.method('a.B', 'x/y'))
  })

  it('judges each method of a service once, however often an answer names it', () => {
    const methods = Array.from({ length: 2_000 }, (_, n) => `a.B/M${n}`)
    const denied = callable({ allow: [rule(...methods)], deny: [rule(...methods)] })
    for (let time = 0; time < 5_000; time += 1) assert.ok(!denied.service('a.B'))
    assert.equal(denied.budget.spent, 2_001)
  })

  it('is refused whole when judging takes more steps than there are', () => {
    const methods = Array.from({ length: 2_000 }, (_, n) => `a.B/M${n}`)
    const policy = policyOf({
      acme: { delegation: { allow: [rule(...methods)], deny: [rule(...methods)] } },
    })
    const found = callableOf({ caller: planner, callee: researcher, withinChain: false }, policy)
    assert.throws(() => found.service('a.B', new StepBudget(1_000)), {
      code: 'MESH_POLICY_TOO_COSTLY',
    })
  })

  it('is not asked about names that are longer than any rule could be', () => {
    const open = callable({ allow: [{ from: 'planner', to: 'researcher' }] })
    assert.ok(!open.service('a'.repeat(600)))
    assert.ok(!open.method('a'.repeat(600), 'Get'))
    assert.equal(open.budget.spent, 0)
  })
})
