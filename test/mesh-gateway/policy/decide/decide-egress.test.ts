import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  decideEgress,
  type EgressDecision,
  type EgressQuestion,
  type PolicySnapshot,
} from '../../../../mesh-gateway/src/policy/index.ts'
import { policyOf } from '../policies.ts'

const bot = { tenant: 'acme', agent: 'bot-01' }

function ask(
  policy: PolicySnapshot,
  to: string,
  more: Partial<EgressQuestion> = {},
): EgressDecision {
  const colon = to.lastIndexOf(':')
  const host = to.slice(0, colon)
  const port = Number(to.slice(colon + 1))
  // a token that names the destination itself, so that policy alone decides
  const own = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  return decideEgress(
    { agent: bot, host, port, request: null, allowedDestinations: [own], ...more },
    policy,
  )
}

function egress(rules: object, global: object = {}): PolicySnapshot {
  return policyOf({ acme: { egress: rules }, _global: { egress: global } })
}

describe('an egress decision', () => {
  describe('matches hosts', () => {
    const policy = egress(
      {
        allow: [
          'api.openai.com',
          '*.githubusercontent.com:443',
          '*.example.com',
          'example.org:8443',
          '93.184.216.34',
          '[2001:DB8:0:0::1]:443',
          'BÜCHER.example.net.',
          'my_bucket.s3.example.net',
        ],
      },
      { ports: [80, 443, 8443] },
    )
    const table: [to: string, action: string, promise: string][] = [
      ['api.openai.com:443', 'allow', 'a host on 443'],
      ['api.openai.com:80', 'allow', 'a host on 80'],
      ['api.openai.com:8443', 'deny', 'not a host on a port that the rule does not name'],
      ['openai.com:443', 'deny', 'not its parent'],
      ['x.api.openai.com:443', 'deny', 'not its child'],
      ['api.openai.com.evil.test:443', 'deny', 'not a host that begins with it'],
      ['evilapi.openai.com:443', 'deny', 'not a host that ends with it'],
      ['raw.githubusercontent.com:443', 'allow', 'a wildcard on its port'],
      ['raw.githubusercontent.com:80', 'deny', 'not a wildcard on another port'],
      ['a.example.com:443', 'allow', 'one label below a wildcard'],
      ['a.b.c.d.example.com:443', 'allow', 'any depth below a wildcard'],
      ['example.com:443', 'deny', 'not the apex of a wildcard'],
      ['badexample.com:443', 'deny', 'not a host that ends like a wildcard without the dot'],
      ['example.org:8443', 'allow', 'another port that rule and mesh name'],
      ['example.org:443', 'deny', 'not the default port when a rule names another'],
      ['93.184.216.34:443', 'allow', 'an IPv4 literal'],
      ['93.184.216.35:443', 'deny', 'not its neighbour'],
      ['2001:db8::1:443', 'allow', 'an IPv6 literal, however the rule spells it'],
      ['2001:db8::2:443', 'deny', 'not another IPv6 literal'],
      ['xn--bcher-kva.example.net:443', 'allow', 'a rule in Unicode by its punycode'],
      ['my_bucket.s3.example.net:443', 'allow', 'an underscore'],
    ]
    for (const [to, action, promise] of table)
      it(`${promise}: ${to}`, () => {
        assert.equal(ask(policy, to).action, action)
      })
  })

  it('names the rule that allowed', () => {
    const policy = egress({ allow: ['*.example.com', 'a.example.com'] })
    assert.equal(ask(policy, 'a.example.com:443').rule, 'acme.json#/egress/allow/1')
    assert.equal(ask(policy, 'b.example.com:443').rule, 'acme.json#/egress/allow/0')
  })

  it('refuses a tenant without a file, whatever other tenants have', () => {
    const policy = egress({ allow: ['a.test'] })
    const decision = ask(policy, 'a.test:443', { agent: { tenant: 'globex', agent: 'bot-01' } })
    assert.equal(decision.action, 'deny')
    assert.equal(decision.code, 'MESH_POLICY_NO_TENANT')
    assert.match(decision.hint ?? '', /globex\.json/)
  })

  it('refuses a tenant called like a property of objects', () => {
    for (const tenant of ['constructor', '__proto__', 'toString'])
      for (const agent of ['constructor', '__proto__'])
        assert.equal(ask(egress({}), 'a.test:443', { agent: { tenant, agent } }).action, 'deny')
  })

  it('allows nothing with an empty list', () => {
    assert.equal(ask(egress({ allow: [] }), 'a.test:443').code, 'MESH_POLICY_NOT_ALLOWED')
    assert.equal(ask(egress({}), 'a.test:443').code, 'MESH_POLICY_NOT_ALLOWED')
  })

  describe('with deny rules', () => {
    const places: [string, PolicySnapshot, string][] = [
      [
        '_global.json',
        egress({ allow: ['a.test'] }, { deny: ['a.test'] }),
        '_global.json#/egress/deny/0',
      ],
      ['the tenant', egress({ allow: ['a.test'], deny: ['a.test'] }), 'acme.json#/egress/deny/0'],
      [
        'the agent',
        egress({
          allow: ['a.test'],
          agents: { 'bot-01': { allow: ['a.test'], deny: ['a.test'] } },
        }),
        'acme.json#/egress/agents/bot-01/deny/0',
      ],
    ]
    for (const [place, policy, rule] of places)
      it(`of ${place} refuses what is allowed, and names the rule`, () => {
        const decision = ask(policy, 'a.test:443')
        assert.equal(decision.action, 'deny')
        assert.equal(decision.code, 'MESH_POLICY_DENIED')
        assert.equal(decision.rule, rule)
      })

    it('refuses in audit mode too', () => {
      const policy = policyOf({ acme: { mode: 'audit', egress: { deny: ['*.test'] } } })
      assert.equal(ask(policy, 'a.test:443').code, 'MESH_POLICY_DENIED')
      assert.equal(ask(policy, 'a.example:443').action, 'audit')
    })

    it('means every port unless one is named', () => {
      const policy = egress({ allow: ['a.test', 'b.test'], deny: ['a.test', 'b.test:80'] })
      assert.equal(ask(policy, 'a.test:80').action, 'deny')
      assert.equal(ask(policy, 'a.test:443').action, 'deny')
      assert.equal(ask(policy, 'b.test:80').action, 'deny')
      assert.equal(ask(policy, 'b.test:443').action, 'allow')
    })

    for (const host of [
      'GIST.github.com',
      'gist.github.com.',
      'Gist.GitHub.Com.',
      'ＧＩＳＴ.github.com',
    ])
      it(`is not escaped by the spelling ${host}`, () => {
        const policy = policyOf({ acme: { mode: 'audit', egress: { deny: ['gist.github.com'] } } })
        assert.notEqual(ask(policy, `${host}:443`).action, 'audit')
      })

    it('is not escaped by writing an IPv4 address as IPv6', () => {
      const policy = policyOf({ acme: { mode: 'audit', egress: { deny: ['192.0.2.1'] } } })
      for (const host of ['192.0.2.1', '::ffff:c000:201', '64:ff9b::c000:201', '::c000:201'])
        assert.equal(ask(policy, `${host}:443`).code, 'MESH_POLICY_DENIED', host)
    })

    for (const host of [
      '',
      '.',
      'a..test',
      '127.1',
      '2130706433',
      '0x7f000001',
      '0x7f.1',
      'a b.test',
      'a.test/',
      'a@b.test',
      '*.test',
      '[::1',
    ])
      it(`refuses what is no host even in audit mode: ${JSON.stringify(host)}`, () => {
        const policy = policyOf({ acme: { mode: 'audit' } })
        assert.equal(ask(policy, `${host}:443`).code, 'MESH_EGRESS_MALFORMED')
      })
  })

  describe('about ports', () => {
    it('refuses a port that _global.json does not list, though a rule names it', () => {
      const decision = ask(egress({ allow: ['a.test:8443'] }), 'a.test:8443')
      assert.equal(decision.code, 'MESH_EGRESS_PORT_REFUSED')
      assert.equal(
        decision.hint,
        'port 8443 is not listed: egress.ports of _global.json has 80, 443; add it there, and to a rule for the host',
      )
    })

    it('holds the ports of _global.json in audit mode', () => {
      const policy = policyOf({ acme: { mode: 'audit' }, _global: { egress: { ports: [443] } } })
      assert.equal(ask(policy, 'a.test:443').action, 'audit')
      assert.equal(ask(policy, 'a.test:80').code, 'MESH_EGRESS_PORT_REFUSED')
      assert.equal(ask(policy, 'a.test:80').rule, '_global.json#/egress/ports')
    })

    it('allows nothing when _global.json lists none', () => {
      const policy = egress({ allow: ['a.test'] }, { ports: [] })
      assert.equal(ask(policy, 'a.test:443').action, 'deny')
    })
  })

  describe('with methods and paths', () => {
    const policy = egress({
      allow: [
        {
          host: 'api.github.com',
          methods: ['GET', 'HEAD'],
          paths: ['/repos/acme/**', '/users/*/keys'],
        },
        { host: '*.m.test', methods: ['POST'] },
      ],
    })
    const table: [method: string, path: string, action: string][] = [
      ['GET', '/repos/acme/mesh', 'allow'],
      ['GET', '/repos/acme/', 'allow'],
      ['GET', '/repos/acme/a/b/c?x=/../y', 'allow'],
      ['HEAD', '/users/bob/keys', 'allow'],
      ['GET', '/%72epos/acme/mesh', 'allow'],
      ['POST', '/repos/acme/mesh', 'deny'],
      ['get', '/repos/acme/mesh', 'deny'],
      ['GET', '/repos/acme', 'deny'],
      ['GET', '/repos/Acme/mesh', 'deny'],
      ['GET', '/users/a/b/keys', 'deny'],
      ['GET', '/users/keys', 'deny'],
      ['GET', '/repos/acme/../evil', 'deny'],
      ['GET', '/repos/acme/%2e%2e/evil', 'deny'],
      ['GET', '/repos/acme/..%2fevil', 'deny'],
      ['GET', '/repos/acme/..;/evil', 'deny'],
      ['GET', '/repos/acme/..\\evil', 'deny'],
      ['GET', '/repos/acme//evil', 'deny'],
      ['GET', '/repos/acme/%zz', 'deny'],
      ['GET', '/repos/acme/%00', 'deny'],
      ['GET', 'repos/acme/x', 'deny'],
    ]
    for (const [method, path, action] of table)
      it(`${action === 'allow' ? 'allows' : 'refuses'} ${method} ${path}`, () => {
        const decision = ask(policy, 'api.github.com:443', { request: { method, path } })
        assert.equal(decision.action, action)
      })

    it('never lets such a rule open a tunnel, and says so', () => {
      const decision = ask(policy, 'api.github.com:443')
      assert.equal(decision.code, 'MESH_POLICY_NOT_ALLOWED')
      assert.match(
        decision.hint ?? '',
        /api\.github\.com matches but names methods GET, HEAD and paths .* which a tunnel hides/,
      )
      assert.equal(ask(policy, 'a.m.test:443').action, 'deny')
    })
  })

  describe('with a token', () => {
    const policy = egress({ allow: ['a.test', '*.b.test', '127.0.0.1'] })
    const table: [to: string, token: string[], allowed: boolean][] = [
      ['a.test:443', ['a.test'], true],
      ['a.test:443', ['*.test'], true],
      ['a.test:443', ['A.TEST.'], true],
      ['a.test:443', ['a.test:443'], true],
      ['a.test:80', ['a.test:443'], false],
      ['a.test:443', [], false],
      ['a.test:443', ['b.test'], false],
      ['a.test:443', ['*'], true],
      ['a.test:443', ['https://a.test/', '', 'a.test/', '*.a.test', '**.test', '.test'], false],
      ['x.b.test:443', ['*.B.test:443'], true],
      ['x.b.test:443', ['b.test'], false],
      ['127.0.0.1:443', ['*.0.0.1', '*.1', '**', '*.'], false],
      ['127.0.0.1:443', ['127.0.0.1'], true],
    ]
    for (const [to, allowedDestinations, allowed] of table)
      it(`${allowed ? 'allows' : 'refuses'} ${to} with ${JSON.stringify(allowedDestinations)}`, () => {
        const decision = ask(policy, to, { allowedDestinations })
        assert.equal(decision.action, allowed ? 'allow' : 'deny')
        assert.equal(decision.code, allowed ? null : 'MESH_TOKEN_DESTINATION')
      })

    it('holds the token in audit mode', () => {
      const audit = policyOf({ acme: { mode: 'audit' } })
      assert.equal(
        ask(audit, 'a.test:443', { allowedDestinations: [] }).code,
        'MESH_TOKEN_DESTINATION',
      )
      assert.equal(ask(audit, 'a.test:443', { allowedDestinations: ['*.test'] }).action, 'audit')
    })

    it('leaves all to policy with a token of audit mode, when that has ended too', () => {
      const wide = { allowedDestinations: ['*'] }
      const audit = policyOf({ acme: { mode: 'audit', egress: { deny: ['b.test'] } } })
      assert.equal(ask(audit, 'a.test:443', wide).action, 'audit')
      assert.equal(ask(audit, 'b.test:443', wide).code, 'MESH_POLICY_DENIED')
      const enforced = egress({ allow: ['a.test'] })
      assert.equal(ask(enforced, 'a.test:443', wide).action, 'allow')
      assert.equal(ask(enforced, 'b.test:443', wide).code, 'MESH_POLICY_NOT_ALLOWED')
    })

    it('says what the token has instead', () => {
      const hint = (allowedDestinations: string[]) =>
        ask(egress({ allow: ['api.openai.com'] }), 'api.openai.com:443', { allowedDestinations })
          .hint
      assert.equal(
        hint(['openai.com']),
        'api.openai.com is not in allowed_destinations; openai.com is',
      )
      assert.match(hint([]) ?? '', /is empty/)
      assert.match(hint(['api.openai.com:80']) ?? '', /port 443 is not listed/)
    })
  })

  describe('for agents that are named', () => {
    const policy = egress({
      allow: ['a.test'],
      limits: { requestsPerMinute: 600, burst: 60, maxBodyBytes: 10 },
      agents: {
        'bot-01': { mode: 'audit', allow: ['b.test'], limits: { requestsPerMinute: 6000 } },
        'bot-02': { deny: ['a.test'] },
      },
    })

    it('adds what the agent is allowed to what the tenant is', () => {
      assert.equal(ask(policy, 'a.test:443').action, 'allow')
      assert.equal(ask(policy, 'b.test:443').rule, 'acme.json#/egress/agents/bot-01/allow/0')
    })

    it('puts one agent into audit mode alone', () => {
      assert.equal(ask(policy, 'c.test:443').action, 'audit')
      assert.equal(ask(policy, 'c.test:443').code, 'MESH_POLICY_NOT_ALLOWED')
      const other = { agent: { tenant: 'acme', agent: 'bot-03' } }
      assert.equal(ask(policy, 'c.test:443', other).action, 'deny')
    })

    it('lets an agent enforce in a tenant that audits', () => {
      const audit = policyOf({
        acme: { mode: 'audit', egress: { agents: { 'bot-01': { mode: 'enforce' } } } },
      })
      assert.equal(ask(audit, 'c.test:443').action, 'deny')
    })

    it('replaces limits of the tenant one by one', () => {
      assert.deepEqual(ask(policy, 'a.test:443').limits, {
        requestsPerMinute: 6000,
        burst: 60,
        concurrentTunnels: null,
        concurrentRequests: null,
        maxBodyBytes: 10,
      })
    })

    it('takes a tenth of the rate for the burst where none is set', () => {
      const limits = ask(egress({ limits: { requestsPerMinute: 25 } }), 'a.test:443').limits
      assert.equal(limits.burst, 3)
    })

    it('has the limits of the tenant as a whole beside those of each agent', () => {
      const tenantLimits = { requestsPerMinute: 25, concurrentRequests: 4 }
      const whole = egress({ tenantLimits, agents: { 'bot-01': { mode: 'audit' } } })
      const none = { concurrentTunnels: null, maxBodyBytes: null }
      const expected = { ...none, ...tenantLimits, burst: 3 }
      for (const agent of ['bot-01', 'bot-09']) {
        const asked = ask(whole, 'a.test:443', { agent: { tenant: 'acme', agent } })
        assert.deepEqual(asked.tenantLimits, expected)
        assert.equal(asked.limits.concurrentRequests, null)
      }
      assert.equal(ask(policy, 'a.test:443').tenantLimits, null)
    })
  })

  describe('hints at the usual mistakes', () => {
    const policy = egress(
      {
        allow: [
          'openai.com',
          '*.example.com',
          'www.sub.test',
          { host: 'm.test', methods: ['GET'] },
          { host: 'p.test', paths: ['/a/**'] },
        ],
        agents: { 'bot-02': { allow: ['api.stripe.com'] } },
      },
      { ports: [80, 443, 8443] },
    )
    const get = { request: { method: 'POST', path: '/b' } }
    const table: [to: string, more: object, hint: string][] = [
      ['api.openai.com:443', {}, 'api.openai.com is not allowed; openai.com is'],
      [
        'example.com:443',
        {},
        'example.com is not allowed; *.example.com is, which does not include example.com itself',
      ],
      ['sub.test:443', {}, 'sub.test is not allowed; www.sub.test is'],
      [
        'openai.com:8443',
        {},
        'port 8443 is not listed: the rule openai.com is for port 80 and 443; a rule openai.com:8443 would allow it',
      ],
      ['m.test:443', get, 'the rule m.test matches but names methods GET only'],
      ['p.test:443', get, 'the rule p.test matches but names paths /a/** only'],
      ['api.stripe.com:443', {}, 'api.stripe.com is allowed for agent bot-02, not for bot-01'],
      [
        'api.opnai.com:443',
        {},
        'add "api.opnai.com" to egress.allow of acme.json, the policy of acme/bot-01; acme names no agent bot-01: if it is of another tenant, its token must be too',
      ],
      ['opneai.com:443', {}, 'opneai.com is not allowed; openai.com is'],
      ['www.sud.test:443', {}, 'www.sud.test is not allowed; www.sub.test is'],
      [
        'unknown.test:443',
        { agent: { tenant: 'acme', agent: 'bot-02' } },
        'add "unknown.test" to egress.allow of acme.json, the policy of acme/bot-02',
      ],
      [
        'openai.com:443',
        { allowedDestinations: ['opneai.com'] },
        'openai.com is not in allowed_destinations; opneai.com is',
      ],
      [
        'openai.com:443',
        { allowedDestinations: ['*.openai.com', 'openai.com:8443'] },
        'openai.com is not in allowed_destinations; *.openai.com is, which does not include openai.com itself',
      ],
      [
        'openai.com:443',
        { allowedDestinations: ['openai.com:8443'] },
        'port 443 is not listed: allowed_destinations has openai.com:8443; ask for a token that names openai.com:443',
      ],
      [
        'openai.com:443',
        { agent: { tenant: 'globex', agent: 'bot-01' } },
        'the agent is globex/bot-01, and there is no globex.json in the policy directory; add it, or use a token of the tenant that was meant',
      ],
    ]
    for (const [to, more, hint] of table)
      it(hint, () => {
        assert.equal(ask(policy, to, more).hint, hint)
      })
  })

  describe('whatever the rules are', () => {
    const label = fc.constantFrom('a', 'b', 'c')
    const host = fc
      .array(label, { minLength: 1, maxLength: 3 })
      .map((labels) => `${labels.join('.')}.test`)
    const pattern = fc
      .tuple(fc.constantFrom('', '*.'), host, fc.constantFrom('', ':80', ':443'))
      .map((parts) => parts.join(''))
    const patterns = fc.array(pattern, { maxLength: 5 })
    const rules = fc.record({
      mode: fc.constantFrom('enforce', 'audit'),
      global: patterns,
      allow: patterns,
      deny: patterns,
      agentAllow: patterns,
      agentDeny: patterns,
    })
    const port = fc.constantFrom(80, 443)
    type Rules = typeof rules extends fc.Arbitrary<infer T> ? T : never
    const build = (r: Rules) =>
      policyOf({
        _global: { egress: { deny: r.global } },
        acme: {
          mode: r.mode,
          egress: {
            allow: r.allow,
            deny: r.deny,
            agents: { 'bot-01': { allow: r.agentAllow, deny: r.agentDeny } },
          },
        },
      })
    const meets = (text: string, name: string, at: number) => {
      const [bare = '', named] = text.split(':')
      const hit = bare.startsWith('*.') ? name.endsWith(bare.slice(1)) : name === bare
      return hit && (named === undefined || Number(named) === at)
    }

    it('a deny rule always wins, and without one an allow rule decides', () => {
      fc.assert(
        fc.property(rules, host, port, (r, name, at) => {
          const { action } = ask(build(r), `${name}:${at}`)
          const denied = [...r.global, ...r.deny, ...r.agentDeny].some((p) => meets(p, name, at))
          const allowed = [...r.allow, ...r.agentAllow].some((p) => meets(p, name, at))
          const otherwise = r.mode === 'audit' ? 'audit' : 'deny'
          assert.equal(action, denied ? 'deny' : allowed ? 'allow' : otherwise)
        }),
        { numRuns: 300 },
      )
    })

    it('the order of rules changes no action', () => {
      fc.assert(
        fc.property(rules, host, port, (r, name, at) => {
          const turned = {
            ...r,
            allow: r.allow.toReversed(),
            deny: r.deny.toReversed(),
            global: r.global.toReversed(),
          }
          assert.equal(
            ask(build(r), `${name}:${at}`).action,
            ask(build(turned), `${name}:${at}`).action,
          )
        }),
        { numRuns: 100 },
      )
    })

    it('a rule for another tenant, another agent or in a deny list never turns a refusal into leave', () => {
      fc.assert(
        fc.property(rules, pattern, host, port, (r, added, name, at) => {
          const before = ask(build(r), `${name}:${at}`).action
          if (before !== 'deny') return
          const documents = {
            _global: { egress: { deny: [...r.global, added] } },
            globex: { mode: 'audit', egress: { allow: [added] } },
            acme: {
              mode: r.mode,
              egress: {
                allow: r.allow,
                deny: [...r.deny, added],
                agents: {
                  'bot-01': { allow: r.agentAllow, deny: r.agentDeny },
                  'bot-02': { mode: 'audit', allow: [added] },
                },
              },
            },
          }
          assert.equal(ask(policyOf(documents), `${name}:${at}`).action, 'deny')
        }),
        { numRuns: 100 },
      )
    })

    it('no wildcard matches an IP literal', () => {
      const ip = fc.oneof(fc.ipV4(), fc.ipV6())
      const policy = egress({ allow: ['*.com', '*.test', '*.0.a', '*.f'] })
      fc.assert(
        fc.property(ip, port, (address, at) => {
          assert.equal(ask(policy, `${address}:${at}`).action, 'deny')
        }),
      )
    })

    it('case and a trailing dot change nothing', () => {
      const dressed = fc
        .tuple(host, fc.infiniteStream(fc.boolean()), fc.boolean())
        .map(([name, upper, dot]) => {
          const cased = [...name].map((c) => (upper.next().value ? c.toUpperCase() : c)).join('')
          return { name, spelled: cased + (dot ? '.' : '') }
        })
      fc.assert(
        fc.property(rules, dressed, port, (r, { name, spelled }, at) => {
          const policy = build(r)
          assert.equal(ask(policy, `${spelled}:${at}`).action, ask(policy, `${name}:${at}`).action)
        }),
        { numRuns: 100 },
      )
    })

    it('nothing that can be asked makes it throw', () => {
      const policy = egress({ allow: ['a.test', { host: 'b.test', paths: ['/*/b/**'] }] })
      fc.assert(
        fc.property(
          fc.string(),
          fc.integer(),
          fc.string(),
          fc.string(),
          fc.array(fc.string()),
          (name, at, method, path, allowedDestinations) => {
            const question = {
              agent: bot,
              host: name,
              port: at,
              request: { method, path },
              allowedDestinations,
            }
            assert.equal(decideEgress(question, policy).action, 'deny')
            decideEgress({ ...question, host: 'b.test', port: 80 }, policy)
          },
        ),
      )
    })
  })
})
