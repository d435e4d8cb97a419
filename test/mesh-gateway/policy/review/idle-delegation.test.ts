import assert from 'node:assert/strict'
import fc from 'fast-check'
import { StepBudget } from '../../../../mesh-gateway/src/policy/compile/step-budget.ts'
import { decideDelegation, type PolicySnapshot } from '../../../../mesh-gateway/src/policy/index.ts'
import { idleDelegationRules } from '../../../../mesh-gateway/src/policy/review/idle-delegation.ts'
import { policyOf } from '../policies.ts'

const idle = (documents: Record<string, object>) =>
  idleDelegationRules(policyOf(documents)).map(({ id, message }) => `${id} ${message}`)

describe('rules of delegation that can never take effect', () => {
  it('are about a tenant that has no policy', () => {
    const allow = [
      { from: 'planner', to: 'globex/translator' },
      { from: '*', to: 'planner' },
    ]
    const accept = [{ from: 'umbrella/*', to: '*' }]
    assert.deepEqual(idle({ acme: { mode: 'audit', delegation: { allow, accept } } }), [
      'acme.json#/delegation/allow/0 "planner" to "globex/translator" has no effect: there is no globex.json, and a tenant without policy accepts nobody',
      'acme.json#/delegation/accept/0 "umbrella/*" to "*" has no effect: there is no umbrella.json, and a tenant without policy may do nothing',
    ])
  })

  it('lack the other half of a call across tenants', () => {
    const allow = [{ from: 'planner', to: 'globex/translator', methods: ['a.B/C', 'a.D/*'] }]
    const acme = { delegation: { allow } }
    const accepting = (rule: object, more: object = {}) => ({
      acme,
      globex: {
        ...more,
        delegation: { accept: [{ from: 'acme/planner', to: 'translator', ...rule }] },
      },
    })
    for (const fits of [
      {},
      { from: 'acme/*' },
      { to: '*' },
      { methods: ['a.B/*'] },
      { methods: ['a.D/E'] },
    ])
      assert.deepEqual(idle(accepting(fits)), [], JSON.stringify(fits))
    for (const other of [{ from: 'acme/other' }, { to: 'other' }, { methods: ['a.B/D'] }])
      assert.deepEqual(
        idle(accepting(other)).map((one) => one.replace(/^(\S+) .* has no effect/, '$1')),
        [
          'acme.json#/delegation/allow/0: a call across tenants needs both sides, and no rule of delegation.accept of globex.json fits it',
          'globex.json#/delegation/accept/0: a call across tenants needs both sides, and no rule of delegation.allow of acme.json fits it',
        ],
        JSON.stringify(other),
      )
  })

  it('are not those whose other half audit mode excuses', () => {
    const acme = { delegation: { allow: [{ from: 'planner', to: 'globex/*' }] } }
    assert.equal(idle({ acme, globex: {} }).length, 1)
    assert.deepEqual(idle({ acme, globex: { mode: 'audit' } }), [])
    const agents = { canary: { mode: 'audit' } }
    assert.deepEqual(idle({ acme, globex: { delegation: { agents } } }), [])
    const named = { delegation: { allow: [{ from: 'planner', to: 'globex/translator' }] } }
    assert.equal(idle({ acme: named, globex: { delegation: { agents } } }).length, 1)
  })

  it('are denied whole, by the mesh, by the own tenant or by the other', () => {
    const allow = [
      { from: 'planner', to: 'vault' },
      { from: '*', to: 'globex/*', methods: ['a.B/C'] },
      { from: 'planner', to: '*' },
    ]
    const accept = [{ from: 'acme/*', to: '*' }]
    const deny = [{ from: '*', to: 'vault' }]
    const theirs = [{ from: 'acme/*', to: '*', methods: ['a.B/*'] }]
    assert.deepEqual(
      idle({
        acme: { delegation: { allow, deny } },
        globex: { delegation: { accept, deny: theirs } },
      }),
      [
        'acme.json#/delegation/allow/0 "planner" to "vault" has no effect: it is denied by acme.json#/delegation/deny/0; deny rules always win',
        'acme.json#/delegation/allow/1 "*" to "globex/*" has no effect: it is denied by globex.json#/delegation/deny/0; deny rules always win',
      ],
    )
    const rogue = [{ from: 'acme/planner', to: '*' }]
    assert.deepEqual(
      idle({
        acme: { delegation: { allow } },
        globex: { delegation: { accept } },
        _global: { delegation: { deny: rogue } },
      }).map((one) => one.split(' ')[0]),
      ['acme.json#/delegation/allow/0', 'acme.json#/delegation/allow/2'],
    )
  })

  it('change no answer when they are taken out, whatever the policy and the question', () => {
    const methods = fc.option(
      fc.subarray(['p.S/A', 'p.S/*', 'q.S/B', '*'], { minLength: 1, maxLength: 2 }),
      { nil: undefined },
    )
    const rule = (from: readonly string[], to: readonly string[]) =>
      fc
        .record({ from: fc.constantFrom(...from), to: fc.constantFrom(...to), methods })
        .map(({ methods: some, ...ends }) =>
          some === undefined ? ends : { ...ends, methods: some },
        )
    const list = (from: readonly string[], to: readonly string[]) =>
      fc.array(rule(from, to), { maxLength: 3 })
    const mode = fc.constantFrom('audit', 'enforce', 'enforce')
    const own = ['x', 'y', '*']
    const of = (tenant: string) => own.map((name) => `${tenant}/${name}`)
    const tenant = (other: string) =>
      fc.record({
        mode,
        delegation: fc.record({
          allow: list(own, [...own, ...of(other)]),
          accept: list(of(other), own),
          deny: list([...own, ...of(other)], [...own, ...of(other)]),
          agents: fc.record({ x: fc.record({ mode }) }),
        }),
      })
    const global = fc.record({
      delegation: fc.record({ deny: list([...of('acme'), '*'], [...of('globex'), '*']) }),
    })
    let seen = 0
    const property = fc.property(
      tenant('globex'),
      fc.option(tenant('acme'), { nil: undefined, freq: 5 }),
      global,
      (acme, globex, mesh) => {
        const documents = { acme, ...(globex === undefined ? {} : { globex }), _global: mesh }
        const whole = policyOf(documents)
        const found = new Set(idleDelegationRules(whole).map(({ id }) => id))
        seen += found.size
        const less = (name: string, document: typeof acme) => {
          const left = (at: 'allow' | 'accept') =>
            document.delegation[at].filter(
              (_, i) => !found.has(`${name}.json#/delegation/${at}/${i}`),
            )
          const { delegation } = document
          return {
            ...document,
            delegation: { ...delegation, allow: left('allow'), accept: left('accept') },
          }
        }
        const thinner = policyOf({
          ...documents,
          acme: less('acme', acme),
          ...(globex === undefined ? {} : { globex: less('globex', globex) }),
        })
        assert.deepEqual(answers(whole), answers(thinner))
      },
    )
    fc.assert(property, { numRuns: 200 })
    assert.ok(seen > 200, `of ${seen} rules it was tried`)
  })

  it('are found among ten thousand of each list', () => {
    const many = <T>(make: (at: number) => T) => Array.from({ length: 10_000 }, (_, at) => make(at))
    const found = idleDelegationRules(
      policyOf({
        acme: { delegation: { allow: many((at) => ({ from: '*', to: `globex/a${at}` })) } },
        globex: {
          delegation: { accept: many((at) => ({ from: `acme/b${at}`, to: `a${at + 1}` })) },
        },
      }),
    )
    assert.deepEqual(
      found.map(({ id }) => id),
      ['acme.json#/delegation/allow/0', 'globex.json#/delegation/accept/9999'],
    )
  })

  it('are looked for within a budget where each would be compared with each, and the first that is left says so', () => {
    const rules = (service: string) =>
      Array.from({ length: 2_000 }, (_, n) => ({
        ...{ from: 'planner', to: 'writer', methods: [`${service}/M${n}`] },
      }))
    const policy = policyOf({ acme: { delegation: { allow: rules('a.B'), deny: rules('a.C') } } })
    const budget = new StepBudget(10_000)
    const found = idleDelegationRules(policy, budget)
    assert.deepEqual(
      found.map(({ id }) => id),
      ['acme.json#/delegation/allow/2'],
    )
    assert.match(found[0]?.message ?? '', /too many rules to compare/)
    assert.ok(budget.spent < 11_000, `${budget.spent} steps`)
  })
})

/** Who may call whom. */
function answers(policy: PolicySnapshot): string[] {
  const everybody = ['acme', 'globex', 'umbrella'].flatMap((tenant) =>
    ['x', 'y', 'z'].map((agent) => ({ tenant, agent })),
  )
  return everybody.flatMap((caller) =>
    everybody.flatMap((callee) =>
      ['p.S/A', 'p.S/C', 'q.S/B', 'r.S/D'].map((method) => {
        const question = { caller, callee, method, withinChain: false }
        const { action } = decideDelegation(question, policy)
        return `${caller.tenant}/${caller.agent} ${callee.tenant}/${callee.agent} ${method} ${action}`
      }),
    ),
  )
}
