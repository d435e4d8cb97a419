import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  allowedPeers,
  chainLimits,
  type DelegationDecision,
  decideDelegation,
  decideEgress,
  type PolicySnapshot,
} from '../../../../mesh-gateway/src/policy/index.ts'
import { policyOf } from '../policies.ts'

function peer(name: string) {
  const [tenant = '', agent = ''] = name.split('/')
  return { tenant, agent }
}

function ask(
  policy: PolicySnapshot,
  from: string,
  to: string,
  method = 'pkg.Svc/Do',
  withinChain = false,
): DelegationDecision {
  return decideDelegation({ caller: peer(from), callee: peer(to), method, withinChain }, policy)
}

const acme = (delegation: object, mode = 'enforce') => policyOf({ acme: { mode, delegation } })

describe('a delegation decision', () => {
  it('allows what a rule allows, and names the rule', () => {
    const policy = acme({
      allow: [
        { from: 'a', to: 'b' },
        { from: 'planner', to: 'researcher' },
      ],
    })
    const decision = ask(policy, 'acme/planner', 'acme/researcher')
    assert.equal(decision.action, 'allow')
    assert.equal(decision.code, null)
    assert.equal(decision.rule, 'acme.json#/delegation/allow/1')
    assert.equal(decision.mode, 'enforce')
  })

  const patterns: [from: string, to: string, caller: string, callee: string, allowed: boolean][] = [
    ['planner', 'researcher', 'acme/researcher', 'acme/planner', false],
    ['planner', '*', 'acme/planner', 'acme/anyone', true],
    ['planner', '*', 'acme/planner', 'globex/anyone', false],
    ['*', 'researcher', 'acme/anyone', 'acme/researcher', true],
    ['*', '*', 'acme/a', 'acme/b', true],
    ['*', '*', 'acme/a', 'globex/b', false],
    ['acme/planner', 'acme/researcher', 'acme/planner', 'acme/researcher', true],
    ['acme/*', 'acme/*', 'acme/a', 'acme/b', true],
    ['plan', '*', 'acme/planner', 'acme/b', false],
  ]
  for (const [from, to, caller, callee, allowed] of patterns)
    it(`{ from: ${from}, to: ${to} } ${allowed ? 'allows' : 'does not allow'} ${caller} to call ${callee}`, () => {
      const decision = ask(acme({ allow: [{ from, to }] }), caller, callee)
      assert.equal(decision.action, allowed ? 'allow' : 'deny')
      assert.equal(decision.code, allowed ? null : 'MESH_POLICY_NOT_ALLOWED')
    })

  const methods: [pattern: string[] | undefined, method: string, allowed: boolean][] = [
    [undefined, 'pkg.Svc/Do', true],
    [['*'], 'pkg.Svc/Do', true],
    [['pkg.Svc/*'], 'pkg.Svc/Do', true],
    [['pkg.Svc/*'], 'pkg.SvcOther/Do', false],
    [['pkg.Svc/*'], 'other.pkg.Svc/Do', false],
    [['pkg.Svc/Do'], 'pkg.Svc/Do', true],
    [['pkg.Svc/Do'], 'pkg.Svc/DoMore', false],
    [['pkg.Svc/Do'], 'pkg.svc/do', false],
    [['other.Svc/*', 'pkg.Svc/Do'], 'pkg.Svc/Do', true],
  ]
  for (const [list, method, allowed] of methods)
    it(`methods ${JSON.stringify(list)} ${allowed ? 'take in' : 'leave out'} ${method}`, () => {
      const rule = { from: '*', to: '*', ...(list === undefined ? {} : { methods: list }) }
      assert.equal(
        ask(acme({ allow: [rule] }), 'acme/a', 'acme/b', method).action,
        allowed ? 'allow' : 'deny',
      )
    })

  it('refuses the caller whose tenant has no file', () => {
    const decision = ask(acme({ allow: [{ from: '*', to: '*' }] }), 'globex/a', 'acme/b')
    assert.equal(decision.code, 'MESH_POLICY_NO_TENANT')
    assert.match(decision.hint ?? '', /^there is no globex\.json/)
  })

  it('says that the file of the caller’s tenant is there and broken, on both planes', () => {
    const good = policyOf({ acme: {} })
    const policy = { ...good, closed: new Set(['globex']) }
    const broken = /^globex\.json in the policy directory is broken, .*policy check/
    const agent = { tenant: 'globex', agent: 'a' }
    assert.match(ask(policy, 'globex/a', 'acme/b').hint ?? '', broken)
    const question = { agent, host: 'a.test', port: 443, request: null, allowedDestinations: [] }
    assert.match(decideEgress(question, policy).hint ?? '', broken)
  })

  describe('across tenants', () => {
    const allow = [{ from: 'planner', to: 'globex/translator' }]
    const accept = [{ from: 'acme/planner', to: 'translator' }]
    const go = (policy: PolicySnapshot) => ask(policy, 'acme/planner', 'globex/translator')

    it('needs an allow on one side and an accept on the other, and names both', () => {
      const decision = go(
        policyOf({ acme: { delegation: { allow } }, globex: { delegation: { accept } } }),
      )
      assert.equal(decision.action, 'allow')
      assert.equal(
        decision.rule,
        'acme.json#/delegation/allow/0 and globex.json#/delegation/accept/0',
      )
    })

    it('is refused without the accept, with what the other side would have to add', () => {
      const decision = go(policyOf({ acme: { delegation: { allow } }, globex: {} }))
      assert.equal(decision.code, 'MESH_POLICY_NOT_ACCEPTED')
      assert.equal(
        decision.hint,
        'add { "from": "acme/planner", "to": "translator" } to delegation.accept of globex.json',
      )
    })

    it('is refused without the allow', () => {
      const decision = go(policyOf({ acme: {}, globex: { delegation: { accept } } }))
      assert.equal(decision.code, 'MESH_POLICY_NOT_ALLOWED')
      assert.match(
        decision.hint ?? '',
        /"to": "globex\/translator" \} to delegation\.allow of acme\.json/,
      )
    })

    it('is refused when the other tenant has no file', () => {
      const decision = go(policyOf({ acme: { delegation: { allow } } }))
      assert.equal(decision.code, 'MESH_POLICY_NOT_ACCEPTED')
    })

    it('is refused for a method that the accept leaves out', () => {
      const narrow = [{ ...accept[0], methods: ['pkg.Svc/Other'] }]
      const decision = go(
        policyOf({ acme: { delegation: { allow } }, globex: { delegation: { accept: narrow } } }),
      )
      assert.equal(decision.code, 'MESH_POLICY_NOT_ACCEPTED')
      // what the other side names is told to the operator alone
      assert.match(decision.operatorHint ?? '', /names methods pkg\.Svc\/Other only/)
      assert.doesNotMatch(decision.hint ?? '', /Other/)
    })

    it('is not opened by the audit mode of the caller alone', () => {
      const decision = go(policyOf({ acme: { mode: 'audit' }, globex: {} }))
      assert.equal(decision.action, 'deny')
      assert.equal(decision.code, 'MESH_POLICY_NOT_ACCEPTED')
      assert.equal(decision.mode, 'enforce')
    })

    it('is let through when whoever has no rule audits', () => {
      const both = policyOf({ acme: { mode: 'audit' }, globex: { mode: 'audit' } })
      assert.equal(go(both).action, 'audit')
      const theirs = go(policyOf({ acme: { delegation: { allow } }, globex: { mode: 'audit' } }))
      assert.equal(theirs.action, 'audit')
      assert.equal(theirs.code, 'MESH_POLICY_NOT_ACCEPTED')
    })

    it('is refused by a deny rule of the callee’s tenant', () => {
      const deny = [{ from: 'acme/*', to: '*' }]
      const decision = go(
        policyOf({ acme: { delegation: { allow } }, globex: { delegation: { accept, deny } } }),
      )
      assert.equal(decision.code, 'MESH_POLICY_DENIED')
      assert.equal(decision.rule, 'globex.json#/delegation/deny/0')
    })
  })

  describe('with deny rules', () => {
    it('refuses what is allowed, in audit mode too', () => {
      const rules = {
        allow: [{ from: '*', to: '*' }],
        deny: [{ from: 'planner', to: 'researcher' }],
      }
      for (const mode of ['enforce', 'audit']) {
        const decision = ask(acme(rules, mode), 'acme/planner', 'acme/researcher')
        assert.equal(decision.code, 'MESH_POLICY_DENIED')
        assert.equal(decision.rule, 'acme.json#/delegation/deny/0')
      }
    })

    it('means any agent of any tenant by *', () => {
      const delegation = {
        accept: [{ from: 'acme/*', to: '*' }],
        deny: [{ from: '*', to: 'vault' }],
      }
      const policy = policyOf({
        acme: { delegation: { allow: [{ from: '*', to: 'globex/*' }] } },
        globex: { delegation },
      })
      assert.equal(ask(policy, 'acme/a', 'globex/vault').code, 'MESH_POLICY_DENIED')
      assert.equal(ask(policy, 'acme/a', 'globex/other').action, 'allow')
    })

    it('of _global.json nobody escapes', () => {
      const policy = policyOf({
        _global: { delegation: { deny: [{ from: 'acme/rogue', to: '*' }] } },
        acme: { mode: 'audit', delegation: { allow: [{ from: '*', to: '*' }] } },
      })
      assert.equal(ask(policy, 'acme/rogue', 'acme/a').rule, '_global.json#/delegation/deny/0')
      assert.equal(ask(policy, 'acme/good', 'acme/a').action, 'allow')
    })
  })

  describe('about chains', () => {
    const rules = {
      allow: [{ from: '*', to: '*' }],
      agents: { researcher: { mayOriginate: false } },
    }

    it('refuses an agent that may not originate, unless it acts within a chain', () => {
      const alone = ask(acme(rules), 'acme/researcher', 'acme/a')
      assert.equal(alone.code, 'MESH_POLICY_MAY_NOT_ORIGINATE')
      assert.equal(alone.rule, 'acme.json#/delegation/agents/researcher/mayOriginate')
      assert.equal(ask(acme(rules), 'acme/researcher', 'acme/a', 'p.S/M', true).action, 'allow')
    })

    it('holds that in audit mode', () => {
      assert.equal(ask(acme(rules, 'audit'), 'acme/researcher', 'acme/a').action, 'deny')
    })

    it('refuses every call with maxHops 0, in audit mode too', () => {
      for (const mode of ['enforce', 'audit'])
        assert.equal(
          ask(acme({ ...rules, maxHops: 0 }, mode), 'acme/a', 'acme/b').code,
          'MESH_CHAIN_HOPS_EXCEEDED',
        )
      assert.equal(ask(acme({ ...rules, maxHops: 1 }), 'acme/a', 'acme/b').action, 'allow')
    })

    it('shows the limits of chains', () => {
      const policy = acme({ maxHops: 4, maxDelegationsPerRoot: 50 })
      assert.deepEqual(chainLimits(policy, 'acme'), { maxHops: 4, maxDelegationsPerRoot: 50 })
      assert.deepEqual(chainLimits(policy, 'globex'), { maxHops: 0, maxDelegationsPerRoot: 0 })
    })
  })

  it('lets one agent audit alone', () => {
    const policy = acme({ agents: { canary: { mode: 'audit' } } })
    assert.equal(ask(policy, 'acme/canary', 'acme/a').action, 'audit')
    assert.equal(ask(policy, 'acme/canary', 'acme/a').code, 'MESH_POLICY_NOT_ALLOWED')
    assert.equal(ask(policy, 'acme/other', 'acme/a').action, 'deny')
  })

  it('gives the limits of the agent over those of the tenant', () => {
    const policy = acme({
      limits: { callsPerMinute: 600, concurrentStreams: 200 },
      agents: { a: { limits: { callsPerMinute: 10 } } },
    })
    assert.deepEqual(ask(policy, 'acme/a', 'acme/b').limits, {
      callsPerMinute: 10,
      concurrentStreams: 200,
    })
    assert.deepEqual(ask(policy, 'acme/b', 'acme/a').limits, {
      callsPerMinute: 600,
      concurrentStreams: 200,
    })
  })

  it('hints at a rule that names other methods', () => {
    const policy = acme({ allow: [{ from: 'a', to: 'b', methods: ['pkg.Svc/Get'] }] })
    assert.equal(
      ask(policy, 'acme/a', 'acme/b').hint,
      'the rule acme.json#/delegation/allow/0 matches but names methods pkg.Svc/Get only, not pkg.Svc/Do',
    )
  })

  describe('whatever the rules are', () => {
    const agent = fc.constantFrom('a', 'b', '*')
    const tenants = fc.constantFrom('acme', 'globex')
    const own = agent
    const foreign = agent.map((name) => `globex/${name}`)
    const methodList = fc.option(fc.constantFrom(['p.S/M'], ['p.S/*'], ['p.T/*'], ['*']), {
      nil: undefined,
    })
    const ruleOf = (from: fc.Arbitrary<string>, to: fc.Arbitrary<string>) =>
      fc
        .record({ from, to, methods: methodList })
        .map(({ methods: list, ...rule }) =>
          list === undefined ? rule : { ...rule, methods: list },
        )
    const model = fc.record({
      mode: fc.constantFrom('enforce', 'audit'),
      allow: fc.array(ruleOf(own, fc.oneof(own, foreign)), { maxLength: 4 }),
      deny: fc.array(ruleOf(own, fc.oneof(own, foreign)), { maxLength: 2 }),
      accept: fc.array(
        ruleOf(
          agent.map((name) => `acme/${name}`),
          own,
        ),
        { maxLength: 4 },
      ),
    })
    type Model = typeof model extends fc.Arbitrary<infer T> ? T : never
    const build = (m: Model, added: object[] = []) =>
      policyOf({
        acme: { mode: m.mode, delegation: { allow: m.allow, deny: [...m.deny, ...added] } },
        globex: { delegation: { accept: m.accept } },
      })
    const call = fc.tuple(
      fc.constantFrom('a', 'b'),
      tenants,
      fc.constantFrom('a', 'b'),
      fc.constantFrom('p.S/M', 'p.T/M'),
    )

    it('the order of rules changes no action, and a deny rule more never opens anything', () => {
      fc.assert(
        fc.property(model, call, ruleOf(own, own), (m, [from, tenant, to, method], added) => {
          const go = (policy: PolicySnapshot) =>
            ask(policy, `acme/${from}`, `${tenant}/${to}`, method).action
          const before = go(build(m))
          const turned = {
            ...m,
            allow: m.allow.toReversed(),
            deny: m.deny.toReversed(),
            accept: m.accept.toReversed(),
          }
          assert.equal(go(build(turned)), before)
          if (before === 'deny') assert.equal(go(build(m, [added])), 'deny')
        }),
        { numRuns: 300 },
      )
    })

    it('whom allowedPeers names without a deny rule can be called, and nobody else', () => {
      fc.assert(
        fc.property(model, call, (m, [from, tenant, to, method]) => {
          const policy = build({ ...m, mode: 'enforce', deny: [] })
          const listed = allowedPeers(policy, peer(`acme/${from}`)).some(
            (entry) =>
              entry.tenant === tenant &&
              (entry.agent === '*' || entry.agent === to) &&
              (entry.methods === null ||
                entry.methods.some(
                  (p) =>
                    p === '*' ||
                    p === method ||
                    (p.endsWith('/*') && method.startsWith(p.slice(0, -1))),
                )),
          )
          assert.equal(
            ask(policy, `acme/${from}`, `${tenant}/${to}`, method).action === 'allow',
            listed,
          )
        }),
        { numRuns: 500 },
      )
    })
  })
})
