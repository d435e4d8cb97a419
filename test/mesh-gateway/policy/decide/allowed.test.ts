import assert from 'node:assert/strict'
import type { Peer } from '@clawmesh/proto'
import fc from 'fast-check'
import {
  type HostPattern,
  parseHostPattern,
} from '../../../../mesh-gateway/src/net/host-pattern.ts'
import { StepBudget } from '../../../../mesh-gateway/src/policy/compile/step-budget.ts'
import { rememberDestinations } from '../../../../mesh-gateway/src/policy/decide/allowed.ts'
import { allowedDestinations, allowedPeers } from '../../../../mesh-gateway/src/policy/index.ts'
import { policyOf } from '../policies.ts'

const bot = { tenant: 'acme', agent: 'bot-01' }

describe('the list of allowed destinations', () => {
  it('has what the tenant and the agent are allowed, canonical and once each', () => {
    const policy = policyOf({
      acme: {
        egress: {
          allow: [
            'API.test',
            'api.test',
            { host: '*.b.test', methods: ['GET'] },
            '[2001:DB8::1]:443',
          ],
          agents: { 'bot-01': { allow: ['c.test'] }, 'bot-02': { allow: ['d.test'] } },
        },
      },
    })
    assert.deepEqual(allowedDestinations(policy, bot), [
      'api.test',
      '*.b.test',
      '[2001:db8::1]:443',
      'c.test',
    ])
  })

  it('leaves out what deny rules and ports cover whole, and keeps what they cover in part', () => {
    const policy = policyOf({
      _global: { egress: { deny: ['*.evil.test'], ports: [443] } },
      acme: {
        egress: {
          allow: [
            'a.test',
            'b.test',
            'x.evil.test',
            '*.evil.test',
            'evil.test',
            'c.test:80',
            '*.d.test',
          ],
          deny: ['a.test', 'b.test:80', 'x.d.test'],
        },
      },
    })
    assert.deepEqual(allowedDestinations(policy, bot), ['b.test', 'evil.test', '*.d.test'])
  })

  it('is empty for a tenant without policy, and names nothing for audit mode', () => {
    assert.deepEqual(allowedDestinations(policyOf({}), bot), [])
    assert.deepEqual(allowedDestinations(policyOf({ acme: { mode: 'audit' } }), bot), [])
  })
})

describe('the list of allowed destinations of a large policy', () => {
  const seed = Date.now() % 2 ** 31
  /** True when the deny pattern leaves nothing of the other. */
  const covers = (deny: HostPattern, allow: HostPattern) => {
    if (deny.port !== null && deny.port !== allow.port) return false
    if (!deny.wildcard) return !allow.wildcard && deny.host === allow.host
    return allow.host.endsWith(`.${deny.host}`) || (allow.wildcard && allow.host === deny.host)
  }
  const parsed = (text: string) => {
    const pattern = parseHostPattern(text)
    assert.ok(typeof pattern !== 'string')
    return pattern
  }

  it(`is what comparing each rule with each gives (seed ${seed})`, () => {
    const host = fc.constantFrom('a.test', 'b.a.test', 'c.b.a.test', 'xa.test', 'test')
    const text = fc
      .tuple(fc.constantFrom('', '*.'), host, fc.constantFrom('', '', ':443', ':80'))
      .map((parts) => parts.join(''))
    const list = fc.uniqueArray(text, { maxLength: 9 })
    fc.assert(
      fc.property(list, list, list, (allow, deny, global) => {
        const policy = policyOf({
          acme: { egress: { allow, deny } },
          _global: { egress: { deny: global } },
        })
        const denied = [...deny, ...global].map(parsed)
        const slowly = allow.filter((one) => !denied.some((rule) => covers(rule, parsed(one))))
        assert.deepEqual(allowedDestinations(policy, bot), slowly)
      }),
      { numRuns: 300, seed },
    )
  })

  it('is found out once for each generation, and once for agents without rules of their own', async () => {
    const egress = { allow: ['a.test'], agents: { own: { allow: ['b.test'] } } }
    let policy = policyOf({ acme: { egress } })
    const remembered = rememberDestinations({ current: () => policy })
    const texts = async (peer: Peer) => (await remembered(peer)).texts
    const first = await remembered(bot)
    assert.equal(await remembered({ tenant: 'acme', agent: 'another' }), first)
    assert.deepEqual(await texts({ tenant: 'acme', agent: 'own' }), ['a.test', 'b.test'])
    policy = policyOf({ acme: { egress: { allow: ['c.test'] } } }, 2)
    assert.deepEqual(await texts(bot), ['c.test'])
    assert.deepEqual(await texts({ tenant: 'globex', agent: 'own' }), [])
  })

  it('is forgotten when half a million destinations are remembered, and found out anew', async () => {
    // of each agent the ten thousand rules of its tenant, and itself; rules for a port that nobody has are quick to judge
    const agents = Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`own-${n}`, {}]))
    const allow = Array.from({ length: 10_000 }, (_, n) => `h${n}.test:9`)
    const policy = policyOf({ acme: { egress: { allow, agents } } })
    const remembered = rememberDestinations({ current: () => policy })
    const of = (n: number) => remembered({ tenant: 'acme', agent: `own-${n}` })
    const first = of(0)
    for (let n = 1; n < 49; n += 1) of(n)
    assert.equal(of(0), first)
    of(49)
    // fifty agents are more than there is room for
    const again = of(0)
    assert.notEqual(again, first)
    await Promise.all([first, again])
    assert.equal(of(0), again)
  })

  it('lets the event loop go on, for many agents of a tenant at once too', async () => {
    const far = `${'a.'.repeat(110)}test`
    const own = Object.fromEntries(
      Array.from({ length: 10 }, (_, n) => [`own-${n}`, { deny: [`own-${n}.test`] }]),
    )
    const allow = Array.from({ length: 1_500 }, (_, n) => `h${n}.${far}`)
    const deny = Array.from({ length: 1_500 }, (_, n) => `*.h${n}.${far}`)
    const policy = policyOf({ acme: { egress: { allow, deny, agents: own } } })
    const remembered = rememberDestinations({ current: () => policy })
    const names = Object.keys(own)
    const events: string[] = []
    const turn = setInterval(() => events.push('turn'), 0)
    await Promise.all(
      names.map(async (agent) => {
        const { texts } = await remembered({ tenant: 'acme', agent })
        assert.equal(texts.length, allow.length)
        events.push(agent)
      }),
    )
    clearInterval(turn)
    assert.deepEqual(
      events.filter((one) => one !== 'turn'),
      names,
      'one after the other',
    )
    assert.ok(events.indexOf('turn') < events.indexOf('own-9'), 'with turns in between')
  })

  it('is found out for one agent of a tenant at a time, also for one that asks meanwhile', async () => {
    const far = `${'a.'.repeat(110)}test`
    const many = Array.from({ length: 5_000 }, (_, n) => `h${n}.${far}`)
    const agents = { first: { allow: ['b.test'] }, slow: { allow: many }, quick: { allow: [] } }
    const policy = policyOf({ acme: { egress: { allow: ['a.test'], deny: ['c.test'], agents } } })
    const remembered = rememberDestinations({ current: () => policy })
    const done: string[] = []
    const ask = (agent: string) =>
      remembered({ tenant: 'acme', agent }).then(() => done.push(agent))
    const first = ask('first')
    const slow = ask('slow')
    await first
    await Promise.all([ask('quick'), slow])
    assert.deepEqual(done, ['first', 'slow', 'quick'])
  })
})

describe('the list of allowed peers', () => {
  it('has peers of the tenant, and of others where both sides agree', () => {
    const policy = policyOf({
      acme: {
        delegation: {
          allow: [
            { from: 'bot-01', to: 'researcher', methods: ['p.S/*'] },
            { from: '*', to: 'globex/*' },
            { from: 'bot-02', to: 'secret' },
            { from: 'bot-01', to: 'initech/x' },
          ],
        },
      },
      globex: {
        delegation: { accept: [{ from: 'acme/*', to: 'translator', methods: ['p.T/M'] }] },
      },
    })
    assert.deepEqual(allowedPeers(policy, bot), [
      {
        tenant: 'acme',
        agent: 'researcher',
        methods: ['p.S/*'],
        rule: 'acme.json#/delegation/allow/0',
      },
      {
        tenant: 'globex',
        agent: 'translator',
        methods: ['p.T/M'],
        rule: 'acme.json#/delegation/allow/1 and globex.json#/delegation/accept/0',
      },
    ])
  })

  it('leaves out a peer of another tenant with which no method is in common', () => {
    const peersOf = (accepted: readonly string[]) =>
      allowedPeers(
        policyOf({
          acme: {
            delegation: { allow: [{ from: '*', to: 'globex/translator', methods: ['p.S/*'] }] },
          },
          globex: {
            delegation: { accept: [{ from: 'acme/*', to: 'translator', methods: accepted }] },
          },
        }),
        bot,
      ).map(({ agent, methods }) => ({ agent, methods }))
    assert.deepEqual(peersOf(['p.T/*']), [])
    assert.deepEqual(peersOf(['p.T/*', 'p.S/M']), [{ agent: 'translator', methods: ['p.S/M'] }])
  })

  it('leaves out who is denied altogether', () => {
    const policy = policyOf({
      acme: {
        delegation: {
          allow: [
            { from: '*', to: 'a' },
            { from: '*', to: 'b' },
          ],
          deny: [
            { from: '*', to: 'a' },
            { from: '*', to: 'b', methods: ['p.S/M'] },
          ],
        },
      },
    })
    assert.deepEqual(
      allowedPeers(policy, bot).map((peer) => peer.agent),
      ['b'],
    )
  })

  it('is empty with maxHops 0 and without policy', () => {
    const delegation = { allow: [{ from: '*', to: '*' }], maxHops: 0 }
    assert.deepEqual(allowedPeers(policyOf({ acme: { delegation } }), bot), [])
    assert.deepEqual(allowedPeers(policyOf({}), bot), [])
  })

  it('costs what it finds, and is refused when that is too much', () => {
    const many = (to: string) => Array.from({ length: 9_000 }, () => ({ from: '*', to }))
    const theirs = Array.from({ length: 9_000 }, (_, n) => ({ from: 'acme/*', to: `bot-${n}` }))
    const accepting = (to: string, accept: readonly object[]) =>
      policyOf({ acme: { delegation: { allow: many(to) } }, globex: { delegation: { accept } } })
    const budget = new StepBudget()
    assert.throws(() => allowedPeers(accepting('globex/*', theirs), bot, budget), {
      code: 'MESH_POLICY_TOO_COSTLY',
    })
    assert.ok(budget.spent < 20_000, `${budget.spent} steps`)
    const one = new StepBudget()
    assert.equal(allowedPeers(accepting('globex/bot-7', theirs), bot, one).length, 9_000)
    assert.equal(one.spent, 9_000)
    // and each method that is compared
    const methods = policyOf({
      acme: { delegation: { allow: [{ from: '*', to: 'globex/x', methods: ['p.S/A', 'p.S/B'] }] } },
      globex: { delegation: { accept: [{ from: 'acme/*', to: 'x', methods: ['p.S/A'] }] } },
    })
    const compared = new StepBudget()
    assert.equal(allowedPeers(methods, bot, compared).length, 1)
    assert.equal(compared.spent, 4)
  })
})
