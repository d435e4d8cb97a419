import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  type DelegationRule,
  findDelegationRule,
  ruleTable,
  scopes,
} from '../../../../mesh-gateway/src/policy/compile/rule-table.ts'
import {
  intersectMethods,
  methodMatches,
} from '../../../../mesh-gateway/src/policy/compile/selector.ts'

describe('a table of delegation rules', () => {
  const seed = Date.now() % 2 ** 31
  const pattern = fc.constantFrom('*', 'a.B/*', 'a.B/Get', 'a.B/Put', 'a.C/*', 'a.C/Get')
  const methods = fc.option(fc.array(pattern, { minLength: 1, maxLength: 4 }))
  const name = fc.constantFrom('acme/planner', 'acme/writer', 'acme/*', 'globex/*', '*')

  it(`finds the rule that a look at each in turn finds (seed ${seed})`, () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ from: name, to: name, methods }), { maxLength: 12 }),
        fc.constantFrom('planner', 'writer', 'other'),
        fc.constantFrom('a.B/Get', 'a.B/Other', 'a.C/Get', 'x.Y/Z', 'a.B/Get/x'),
        (drawn, agent, method) => {
          const rules: DelegationRule[] = drawn.map((one, n) => ({ id: `${n}`, ...one }))
          const caller = { tenant: 'acme', agent }
          const callee = { tenant: 'globex', agent: 'planner' }
          const slowly = scopes(caller)
            .flatMap((from) => scopes(callee).map((to) => ({ from, to })))
            .map(({ from, to }) =>
              rules.find(
                (rule) =>
                  rule.from === from && rule.to === to && methodMatches(rule.methods, method),
              ),
            )
            .find((rule) => rule !== undefined)
          const found = findDelegationRule(ruleTable(rules), caller, callee, method)
          assert.equal(found?.id, slowly?.id)
        },
      ),
      { numRuns: 2000, seed },
    )
  })

  it(`has patterns of two lists that match what both match (seed ${seed})`, () => {
    fc.assert(
      fc.property(
        methods,
        methods,
        fc.constantFrom('a.B/Get', 'a.B/Other', 'a.C/Get', 'x.Y/Z'),
        (a, b, method) => {
          const both = methodMatches(a, method) && methodMatches(b, method)
          assert.equal(methodMatches(intersectMethods(a, b), method), both)
        },
      ),
      { numRuns: 1000, seed },
    )
  })
})
