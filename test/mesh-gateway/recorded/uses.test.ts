/** From what was used to the narrowest rules that allow it, for destinations and for calls. */
import assert from 'node:assert/strict'
import {
  addCall,
  delegationKey,
  delegationRulesOf,
  newDelegationUse,
} from '../../../mesh-gateway/src/recorded/delegation-uses.ts'
import {
  addRequest,
  type EgressUse,
  MAX_PATHS,
  mergeUses,
  newUse,
  rulesOf,
  useKey,
} from '../../../mesh-gateway/src/recorded/egress-uses.ts'
import { widenHosts } from '../../../mesh-gateway/src/recorded/widen-hosts.ts'

const bot = { tenant: 'acme', agent: 'bot' }
type Request = { method: string; path: string } | null
const request = (method: string, path: string): Request => ({ method, path })

function used(host: string, requests: readonly Request[], port = 443, agent = bot): EgressUse {
  const use = newUse(agent, host, port)
  for (const one of requests) addRequest(use, one)
  return use
}

describe('the rules for a destination', () => {
  const host = 'a.test:443'
  const table: [what: string, requests: Request[], rules: object[] | string[]][] = [
    ['a tunnel', [null], [host]],
    ['a request', [request('GET', '/a')], [{ host, methods: ['GET'], paths: ['/a'] }]],
    [
      'requests with one method',
      [request('GET', '/b'), request('GET', '/a'), request('GET', '/b')],
      [{ host, methods: ['GET'], paths: ['/a', '/b'] }],
    ],
    [
      'requests with several',
      [request('POST', '/a'), request('GET', '/a'), request('GET', '/b'), request('POST', '/c')],
      [
        { host, methods: ['GET'], paths: ['/b'] },
        { host, methods: ['GET', 'POST'], paths: ['/a'] },
        { host, methods: ['POST'], paths: ['/c'] },
      ],
    ],
    ['a tunnel beside requests', [request('GET', '/a'), null, request('PUT', '/b')], [host]],
    ['a method that no rule can say', [request('GET', '/a'), request('M_X', '/b')], [host]],
    ['a method in small letters', [request('get', '/a')], [host]],
    ['a method with more behind it', [request('GET1', '/a')], [host]],
    ['a method with more before it', [request('1GET', '/a')], [host]],
    ['CONNECT in another form', [request('CONNECT', '/a')], [host]],
    [
      'a method with a hyphen',
      [request('M-SEARCH', '/')],
      [{ host, methods: ['M-SEARCH'], paths: ['/'] }],
    ],
    [
      'a path with a star',
      [request('GET', '/a'), request('PUT', '/st*r')],
      [{ host, methods: ['GET', 'PUT'] }],
    ],
    ['a path that has no canonical form', [request('GET', '/a//b')], [{ host, methods: ['GET'] }]],
    [
      'a path with a byte that is not ASCII',
      [request('GET', '/caf\xe9')],
      [{ host, methods: ['GET'] }],
    ],
    [
      'a path that is too long for a rule',
      [request('GET', `/${'l'.repeat(600)}`)],
      [{ host, methods: ['GET'] }],
    ],
    [
      'a path after one that no rule can say',
      [request('GET', '/st*r'), request('PUT', '/a')],
      [{ host, methods: ['GET', 'PUT'] }],
    ],
  ]
  for (const [what, requests, rules] of table)
    it(`are those of what was asked: ${what}`, () => {
      const use = used('a.test', requests)
      assert.deepEqual(rulesOf(use), rules)
      assert.equal(use.count, requests.length)
    })

  it('name paths as long as they are not too many', () => {
    const paths = (count: number) =>
      used(
        'a.test',
        Array.from({ length: count }, (_, n) => request('GET', `/${n}`)),
      )
    assert.equal(MAX_PATHS, 200)
    assert.equal(paths(200).paths, true)
    assert.equal(paths(200).requests?.size, 200)
    assert.equal(paths(201).paths, false)
    assert.deepEqual(rulesOf(paths(201)), [{ host, methods: ['GET'] }])
  })

  it('name the port, and write hosts as policy does', () => {
    assert.deepEqual(rulesOf(used('2001:db8::1', [null], 8443)), ['[2001:db8::1]:8443'])
    assert.deepEqual(rulesOf(used('*.a.test', [null], 80)), ['*.a.test:80'])
    assert.equal(useKey(bot, 'a.test', 443), 'acme/bot a.test 443')
  })

  it('of hosts that are merged name methods, and no paths', () => {
    const merged = (...uses: EgressUse[]) => {
      const one = mergeUses(uses, 'a.test')
      assert.ok(one !== null)
      return one
    }
    const [x, y] = [
      used('x.a.test', [request('GET', '/x'), request('PUT', '/x')], 80),
      used('y.a.test', [request('POST', '/y')], 80),
    ]
    const both = merged(x, y)
    assert.deepEqual(rulesOf(both), [{ host: '*.a.test:80', methods: ['GET', 'POST', 'PUT'] }])
    assert.equal(both.count, 3)
    assert.deepEqual(both.agent, bot)
    const tunnel = used('z.a.test', [null], 80)
    for (const uses of [
      [x, tunnel, y],
      [tunnel, x, y],
    ])
      assert.deepEqual(rulesOf(merged(...uses)), ['*.a.test:80'])
    assert.equal(mergeUses([], 'a.test'), null)
  })
})

describe('wildcards in the place of hosts', () => {
  const widened = (hosts: readonly string[], atLeast: number, refused: readonly string[] = []) =>
    widenHosts(
      hosts.map((host) => used(host, [null])),
      atLeast,
      refused,
    ).map(({ host }) => host)

  const table: [hosts: string[], atLeast: number, refused: string[], result: string[]][] = [
    [['x.a.test', 'y.a.test'], 2, [], ['*.a.test']],
    [['x.a.test', 'y.a.test'], 3, [], ['x.a.test', 'y.a.test']],
    // the parent itself is not below it
    [['x.a.test', 'y.a.test', 'a.test'], 2, [], ['a.test', '*.a.test']],
    // the wildcard takes in what is deeper, and needs hosts right below
    [['x.a.test', 'y.a.test', 'd.e.a.test'], 2, [], ['*.a.test']],
    [['d.e.a.test', 'f.g.a.test'], 2, [], ['d.e.a.test', 'f.g.a.test']],
    // the wider one first
    [
      ['p.q.a.test', 'r.q.a.test', 'x.a.test', 'y.a.test', 'z.b.test'],
      2,
      [],
      ['z.b.test', '*.a.test'],
    ],
    [['x.a.test', 'y.a.test', 'x.b.test', 'y.b.test'], 2, [], ['*.a.test', '*.b.test']],
    // nobody wants *.test, nor one below a number
    [['a.test', 'b.test', 'c.test'], 2, [], ['a.test', 'b.test', 'c.test']],
    [['10.0.0.1', '11.0.0.1'], 2, [], ['10.0.0.1', '11.0.0.1']],
    [['localhost', 'otherhost'], 2, [], ['localhost', 'otherhost']],
    // none takes in what was refused
    [['x.a.test', 'y.a.test'], 2, ['z.a.test'], ['x.a.test', 'y.a.test']],
    [['x.a.test', 'y.a.test'], 2, ['z.d.a.test'], ['x.a.test', 'y.a.test']],
    [['x.a.test', 'y.a.test'], 2, ['za.test', 'a.test', 'x.b.test'], ['*.a.test']],
  ]
  for (const [hosts, atLeast, refused, result] of table)
    it(`are ${result} for ${hosts}, ${atLeast} of them${refused.length === 0 ? '' : `, without ${refused}`}`, () => {
      assert.deepEqual(widened(hosts, atLeast, refused), result)
    })

  it('are of one agent and of one port each', () => {
    const hosts = (uses: EgressUse[]) => widenHosts(uses, 2, []).map(({ host }) => host)
    const other = { tenant: 'globex', agent: 'bot' }
    const apart: EgressUse[][] = [
      [used('x.a.test', [null]), used('y.a.test', [null], 80)],
      [used('x.a.test', [null]), used('y.a.test', [null], 443, { ...bot, agent: 'other' })],
      [used('x.a.test', [null]), used('y.a.test', [null], 443, other)],
    ]
    for (const uses of apart) assert.deepEqual(hosts(uses), ['x.a.test', 'y.a.test'])
    assert.deepEqual(hosts([...(apart[0] ?? []), used('z.a.test', [null], 80)]), [
      'x.a.test',
      '*.a.test',
    ])
  })
})

describe('the rules for calls', () => {
  const TASKS = 'clawmesh.delegation.v1.DelegationService'
  const peer = (agent: string, tenant = 'acme') => ({ tenant, agent })
  const calls = (
    callee: ReturnType<typeof peer>,
    methods: readonly string[],
    denied: readonly string[] = [],
  ) => {
    const use = newDelegationUse({ caller: bot, callee, method: '', withinChain: false })
    for (const method of methods) addCall(use, method)
    return { ...use, denied }
  }

  it('are one allow within a tenant, and an accept beside it across tenants', () => {
    const within = delegationRulesOf([calls(peer('writer'), ['p.S/B', 'p.S/A', 'p.S/B'])])
    assert.deepEqual(
      [...within],
      [
        [
          'acme',
          {
            allow: [{ from: 'bot', to: 'writer', methods: ['p.S/A', 'p.S/B'] }],
            ...{ accept: [], deny: [] },
          },
        ],
      ],
    )
    const crossing = delegationRulesOf([calls(peer('writer', 'globex'), ['p.S/A'])])
    assert.deepEqual(
      [...crossing],
      [
        [
          'acme',
          {
            allow: [{ from: 'bot', to: 'globex/writer', methods: ['p.S/A'] }],
            accept: [],
            deny: [],
          },
        ],
        [
          'globex',
          { allow: [], accept: [{ from: 'acme/bot', to: 'writer', methods: ['p.S/A'] }], deny: [] },
        ],
      ],
    )
  })

  it('name no methods when one of them has a name that no rule can say', () => {
    const use = calls(peer('writer'), ['p.S/A', 'p.S/B/C', 'p.S/D'])
    assert.equal(use.methods, null)
    assert.equal(use.count, 3)
    assert.deepEqual(delegationRulesOf([use]).get('acme')?.allow, [{ from: 'bot', to: 'writer' }])
  })

  it('leave out what beginning a task brings with it, and deny what was refused of that, on either side', () => {
    const methods = [`${TASKS}/Watch`, `${TASKS}/Delegate`, 'p.S/A']
    const denied = [`${TASKS}/SendInput`, `${TASKS}/Cancel`]
    const named = { methods: [`${TASKS}/Delegate`, 'p.S/A'] }
    const refused = { methods: [`${TASKS}/Cancel`, `${TASKS}/SendInput`] }
    assert.deepEqual(delegationRulesOf([calls(peer('writer'), methods, denied)]).get('acme'), {
      allow: [{ from: 'bot', to: 'writer', ...named }],
      accept: [],
      deny: [{ from: 'bot', to: 'writer', ...refused }],
    })
    const crossing = delegationRulesOf([calls(peer('writer', 'globex'), methods, denied)])
    assert.deepEqual(crossing.get('acme')?.deny, [{ from: 'bot', to: 'globex/writer', ...refused }])
    assert.deepEqual(crossing.get('globex'), {
      allow: [],
      accept: [{ from: 'acme/bot', to: 'writer', ...named }],
      deny: [{ from: 'acme/bot', to: 'writer', ...refused }],
    })
    // what sees a task through alone is named
    const through = delegationRulesOf([calls(peer('writer'), [`${TASKS}/Watch`])])
    assert.deepEqual(through.get('acme')?.allow[0]?.methods, [`${TASKS}/Watch`])
  })

  it('are told apart by caller and callee', () => {
    const question = { caller: bot, callee: peer('writer', 'globex'), method: 'p.S/M' }
    assert.equal(delegationKey({ ...question, withinChain: true }), 'acme/bot globex/writer')
    assert.deepEqual(
      delegationRulesOf([calls(peer('a'), ['p.S/A']), calls(peer('b'), ['p.S/A'])]).get('acme')
        ?.allow.length,
      2,
    )
  })
})
