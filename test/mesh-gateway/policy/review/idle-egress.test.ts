import assert from 'node:assert/strict'
import fc from 'fast-check'
import { judgeAddresses } from '../../../../mesh-gateway/src/net/judge-addresses.ts'
import { isMetadataName } from '../../../../mesh-gateway/src/net/special-ranges.ts'
import { decideEgress, type PolicySnapshot } from '../../../../mesh-gateway/src/policy/index.ts'
import { idleEgressRules } from '../../../../mesh-gateway/src/policy/review/idle-egress.ts'
import { policyOf } from '../policies.ts'

const idle = (egress: object, global: object = {}) =>
  idleEgressRules(policyOf({ acme: { egress }, _global: { egress: global } })).map(
    ({ id, message }) => `${id} ${message}`,
  )

describe('allow rules of egress that can never take effect', () => {
  it('are for ports that the mesh does not have', () => {
    const allow = ['api.test:8443', { host: '*.b.test:9000', methods: ['GET'] }, 'c.test:443']
    assert.deepEqual(idle({ allow }), [
      'acme.json#/egress/allow/0 "api.test:8443" has no effect: port 8443 is not listed: egress.ports of _global.json has 80, 443 by default; add it there, or take the rule out',
      'acme.json#/egress/allow/1 "*.b.test:9000" has no effect: port 9000 is not listed: egress.ports of _global.json has 80, 443 by default; add it there, or take the rule out',
    ])
    assert.deepEqual(idle({ allow }, { ports: [443, 8443, 9000] }), [])
    assert.deepEqual(idle({ agents: { 'bot-01': { mode: 'audit', allow: ['a.test:8443'] } } }), [
      'acme.json#/egress/agents/bot-01/allow/0 "a.test:8443" has no effect: port 8443 is not listed: egress.ports of _global.json has 80, 443 by default; add it there, or take the rule out',
    ])
  })

  it('are without a port, where the mesh has neither 80 nor 443', () => {
    assert.deepEqual(idle({ allow: ['a.test', 'a.test:8443'] }, { ports: [8443] }), [
      'acme.json#/egress/allow/0 "a.test" has no effect: without a port it is for 80 and 443, and egress.ports of _global.json has 8443',
    ])
    assert.match(idle({ allow: ['a.test'] }, { ports: [] })[0] ?? '', /_global\.json is empty$/)
    const many = Array.from({ length: 300 }, (_, at) => 300 - at)
    const [said = ''] = idle({ allow: ['a.test:8443'] }, { ports: many })
    assert.match(said, /has 1, 2, 3, .*, 20 and 280 more; add/)
  })

  it('are denied whole, by one rule or by one for each port', () => {
    const allow = ['a.test', '*.b.test', 'x.b.test:443', 'b.test', 'c.test', 'd.test']
    const deny = ['a.test', '*.b.test', 'c.test:443', 'd.test:80', 'd.test:443', '*.d.test']
    assert.deepEqual(idle({ allow }, { deny }), [
      'acme.json#/egress/allow/0 "a.test" has no effect: a.test is denied by _global.json#/egress/deny/0; deny rules always win',
      'acme.json#/egress/allow/1 "*.b.test" has no effect: *.b.test is denied by _global.json#/egress/deny/1; deny rules always win',
      'acme.json#/egress/allow/2 "x.b.test:443" has no effect: *.b.test is denied by _global.json#/egress/deny/1; deny rules always win',
      'acme.json#/egress/allow/5 "d.test" has no effect: d.test:80 is denied by _global.json#/egress/deny/3, d.test:443 is denied by _global.json#/egress/deny/4; deny rules always win',
    ])
    assert.equal(idle({ allow: ['c.test'] }, { deny: ['c.test:443'], ports: [443] }).length, 1)
  })

  it('are not those that a deny rule of one agent forbids to that agent alone', () => {
    const agents = { 'bot-01': { allow: ['a.test', 'b.test'], deny: ['a.test'] } }
    assert.deepEqual(
      idle({ allow: ['a.test'], agents }).map((one) => one.split(' ')[0]),
      ['acme.json#/egress/agents/bot-01/allow/0'],
    )
    assert.deepEqual(idle({ allow: ['*.a.test'], deny: ['x.a.test', 'a.test', '*.x.a.test'] }), [])
  })

  it('are for addresses that are refused, and for the metadata services of clouds', () => {
    const allow = ['10.1.2.3', '203.0.113.9:443', '[fd00::1]', '169.254.169.254', '8.8.8.8']
    const global = { allowCidrs: ['10.1.0.0/16'], denyCidrs: ['203.0.113.0/24'] }
    assert.deepEqual(
      idle({ allow: [...allow, 'metadata.google.internal', '*.metadata.google.internal'] }, global),
      [
        'acme.json#/egress/allow/1 "203.0.113.9:443" has no effect: the address is refused by denyCidrs 203.0.113.0/24 of _global.json',
        'acme.json#/egress/allow/2 "[fd00::1]" has no effect: the address is refused (special fc00::/7) unless allowCidrs of _global.json has it',
        'acme.json#/egress/allow/3 "169.254.169.254" has no effect: the address is refused (metadata 169.254.169.254/32): the metadata service of a cloud hands out credentials',
        'acme.json#/egress/allow/5 "metadata.google.internal" has no effect: no agent reaches the metadata service of a cloud',
      ],
    )
    assert.deepEqual(idle({ allow: ['127.0.0.1:443'] }, { allowCidrs: ['127.0.0.1/32'] }), [])
    const metadata = { allow: ['169.254.169.254'] }
    assert.equal(idle(metadata, { allowCidrs: ['169.254.0.0/16'] }).length, 1)
    assert.deepEqual(idle(metadata, { allowCidrs: ['169.254.169.254/32'] }), [])
  })

  it('change no answer when they are taken out, whatever the policy and the question', () => {
    const host = fc.constantFrom(
      ...['a.test', 'x.a.test', 'y.x.a.test', '*.a.test', '*.x.a.test', 'metadata', '*.metadata'],
      ...['10.1.2.3', '8.8.8.8', '[::ffff:8.8.8.8]', '[fd00::1]', '[64:ff9b::808:808]'],
    )
    const pattern = fc
      .tuple(host, fc.constantFrom('', ':80', ':443', ':8443'))
      .map(([name, port]) => name + port)
    const allow = fc.array(
      fc.oneof(
        pattern,
        fc.record({ host: pattern, methods: fc.constantFrom(['GET'], ['GET', 'POST']) }),
      ),
      { maxLength: 4 },
    )
    const deny = fc.array(pattern, { maxLength: 3 })
    const mode = fc.constantFrom('audit', 'enforce')
    const rules = fc.record({ mode, allow, deny })
    const global = fc.record({
      deny,
      ports: fc.subarray([80, 443, 8443]),
      allowCidrs: fc.subarray(['10.1.0.0/16', 'fd00::1/128']),
      denyCidrs: fc.subarray(['8.8.8.0/24']),
    })
    let seen = 0
    const property = fc.property(rules, rules, global, (everybody, bot, mesh) => {
      const { mode: tenantMode, ...lists } = everybody
      const build = (a: unknown, b: unknown) =>
        policyOf({
          acme: {
            mode: tenantMode,
            egress: { ...lists, allow: a, agents: { 'bot-01': { ...bot, allow: b } } },
          },
          _global: { egress: mesh },
        })
      const whole = build(lists.allow, bot.allow)
      const found = new Set(idleEgressRules(whole).map(({ id }) => id))
      seen += found.size
      const left = (list: readonly unknown[], at: string) =>
        list.filter((_, index) => !found.has(`acme.json#/egress/${at}/${index}`))
      const less = build(left(lists.allow, 'allow'), left(bot.allow, 'agents/bot-01/allow'))
      assert.deepEqual(answers(whole), answers(less))
    })
    fc.assert(property, { numRuns: 150 })
    assert.ok(seen > 130, `of ${seen} rules it was tried`)
  })
})

const HOSTS = [
  ...['a.test', 'x.a.test', 'y.x.a.test', 'z.y.x.a.test', 'b.test', 'metadata', 'x.metadata'],
  ...['10.1.2.3', '8.8.8.8', 'fd00::1', '64:ff9b::808:808', '::ffff:808:808'],
]

/** Who reaches what, names and addresses judged as the port judges them. */
function answers(policy: PolicySnapshot): string[] {
  const addresses = policy.global.addresses
  const requests = [null, { method: 'GET', path: '/' }, { method: 'POST', path: '/' }]
  return ['bot-01', 'bot-02'].flatMap((agent) =>
    HOSTS.flatMap((host) =>
      [80, 443, 8443].flatMap((port) =>
        requests.map((request) => {
          const shown = host.includes(':') ? `[${host}]` : host
          const question = { agent: { tenant: 'acme', agent }, host, port, request }
          const { action } = decideEgress(
            { ...question, allowedDestinations: [`${shown}:${port}`] },
            policy,
          )
          const literal = /^[\d.]+$|:/.test(host)
          const judged = literal ? judgeAddresses([host], port, addresses, []) : { ips: [] }
          const open = action !== 'deny' && 'ips' in judged && !isMetadataName(host)
          return `${agent} ${shown}:${port} ${request?.method} ${open ? action : 'deny'}`
        }),
      ),
    ),
  )
}
