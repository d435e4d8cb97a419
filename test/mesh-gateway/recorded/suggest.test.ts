/** What a suggestion holds of one record more or less, for one tenant or all. */
import assert from 'node:assert/strict'
import {
  agentNames,
  type RecordedCase,
  readCase,
  readFields,
} from '../../../mesh-gateway/src/recorded/recorded-case.ts'
import {
  createSuggestion,
  type SuggestOptions,
} from '../../../mesh-gateway/src/recorded/suggest.ts'

const DELEGATE = 'clawmesh.delegation.v1.DelegationService/Delegate'
const WATCH = 'clawmesh.delegation.v1.DelegationService/Watch'
const CANCEL = 'clawmesh.delegation.v1.DelegationService/Cancel'
const id = (name: string) => {
  const [tenant, agent] = name.split('/')
  return `spiffe://mesh.internal/tenant/${tenant}/agent/${agent}`
}

function caseOf(fields: object): RecordedCase {
  const reading = readCase(readFields(JSON.stringify(fields)), agentNames())
  assert.ok(typeof reading !== 'string', String(reading))
  return reading
}

/** A request of `acme/bot`, let through unless told otherwise. */
function fetched(host: string, more: object = {}, agent = 'acme/bot'): RecordedCase {
  const [tenant, agent_id] = agent.split('/')
  return caseOf({
    ...{ event: 'egress', tenant, agent_id, destination_host: host, destination_port: 443 },
    ...{ destination_ip: '93.184.216.34', method: 'CONNECT', path: null, action_allowed: true },
    ...more,
  })
}

function called(from: string, to: string, method: string, more: object = {}): RecordedCase {
  const [tenant, agent_id] = from.split('/')
  return caseOf({
    ...{ event: 'delegation', tenant, agent_id, callee: id(to), grpc_method: method },
    ...{ action_allowed: true, ...more },
  })
}
const refused = (reason: string, more: object = {}) => ({ action_allowed: false, reason, ...more })

function suggest(cases: readonly RecordedCase[], options: Partial<SuggestOptions> = {}) {
  const suggesting = createSuggestion({ tenant: null, wildcards: null, ...options })
  for (const one of cases) suggesting.add(one)
  return suggesting.finish()
}
const egressOf = (agents: object, tenant = 'acme') => ({
  tenant,
  mode: 'enforce',
  egress: { agents },
})

describe('a suggestion', () => {
  it('of nothing is nothing', () => {
    assert.deepEqual(suggest([]), {
      ...{ tenants: [], global: null, records: 0, leftOut: 0, refused: 0, remarks: [] },
    })
  })

  it('gives each agent what it was let through to, in an order that does not change', () => {
    const cases = [
      fetched('b.test'),
      fetched('a.test', { destination_port: 80 }),
      fetched('a.test'),
      fetched('x.a.test'),
      fetched('a.test', {}, 'acme/ant'),
      fetched('a.test', {}, 'globex/bot'),
      fetched('c.test', refused('MESH_POLICY_NOT_ALLOWED', { repeated: 4 })),
    ]
    const expected = {
      tenants: [
        egressOf({
          ant: { allow: ['a.test:443'] },
          bot: { allow: ['a.test:443', 'a.test:80', 'x.a.test:443', 'b.test:443'] },
        }),
        egressOf({ bot: { allow: ['a.test:443'] } }, 'globex'),
      ],
      ...{ global: null, records: 6, leftOut: 0, refused: 4, remarks: [] },
    }
    assert.deepEqual(suggest(cases), expected)
    assert.deepEqual(suggest(cases.toReversed()), expected)
    assert.deepEqual(suggest(cases, { tenant: 'acme' }), {
      ...expected,
      tenants: expected.tenants.slice(0, 1),
      records: 5,
    })
  })

  it('gives everybody in a chain the destination, and lets its origin alone begin one', () => {
    const chain = [id('acme/planner'), id('globex/helper'), id('acme/bot')]
    const rule = { allow: ['a.test:443'] }
    const { tenants } = suggest([fetched('a.test', { chain })])
    assert.deepEqual(tenants, [
      {
        ...egressOf({ bot: rule, planner: rule }),
        delegation: { agents: { bot: { mayOriginate: false } } },
      },
      {
        ...egressOf({ helper: rule }, 'globex'),
        delegation: { agents: { helper: { mayOriginate: false } } },
      },
    ])
    const one = suggest([fetched('a.test', { chain })], { tenant: 'globex' })
    assert.deepEqual(one.tenants, tenants.slice(1))
    assert.equal(one.records, 0)
  })

  it('leaves out what a deny rule or the address rules refused, of that agent or of anybody', () => {
    const twice = [fetched('a.test'), fetched('a.test'), fetched('b.test')]
    const left = (more: RecordedCase) => {
      const { tenants, leftOut } = suggest([...twice, more, fetched('a.test', {}, 'acme/ant')])
      return [tenants[0]?.egress?.agents, leftOut]
    }
    const ant = { allow: ['a.test:443'] }
    const both = [{ ant, bot: { allow: ['a.test:443', 'b.test:443'] } }, 0]
    const without = [{ ant, bot: { allow: ['b.test:443'] } }, 2]
    assert.deepEqual(left(fetched('a.test', refused('MESH_POLICY_DENIED'))), without)
    assert.deepEqual(left(fetched('a.test', refused('MESH_EGRESS_ADDRESS_REFUSED'))), [
      { bot: { allow: ['b.test:443'] } },
      3,
    ])
    // another port, another agent, another reason
    const port = { destination_port: 80 }
    assert.deepEqual(left(fetched('a.test', refused('MESH_POLICY_DENIED', port))), both)
    assert.deepEqual(left(fetched('a.test', refused('MESH_EGRESS_ADDRESS_REFUSED', port))), both)
    assert.deepEqual(left(fetched('a.test', refused('MESH_POLICY_DENIED'), 'globex/bot')), both)
    assert.deepEqual(left(fetched('a.test', refused('MESH_POLICY_NOT_ALLOWED'))), both)
    // what cut it later on was a deny rule as well
    assert.deepEqual(left(fetched('a.test', { reason: 'MESH_POLICY_DENIED' })), [without[0], 3])
    // of an actor when a deny rule refused it, and not when a rule was missing
    const actor = (rule: string | null, refused_actor: string | null = 'acme/bot') =>
      left(
        fetched(
          'a.test',
          refused('MESH_CHAIN_ACTOR_REFUSED', { rule, refused_actor, chain: [id('acme/bot')] }),
          'acme/other',
        ),
      )
    assert.deepEqual(actor('acme.json#/egress/deny/0'), without)
    assert.deepEqual(actor('_global.json#/egress/deny/0'), without)
    assert.deepEqual(actor('acme.json#/egress/agents/bot/deny/0'), without)
    for (const rule of [
      null,
      'acme.json#/egress/allow/0',
      'acme.json#/delegation/agents/bot/mayOriginate',
      'x acme.json#/egress/deny/0',
      'acme.json#/egress/agents/a/b/deny/0',
    ])
      assert.deepEqual(actor(rule), both)
    assert.deepEqual(actor('acme.json#/egress/deny/0', null), both)
  })

  it('has the ports and addresses that _global.json must have, for all tenants or as a remark', () => {
    const of = (...cases: RecordedCase[]) => suggest(cases).global
    assert.equal(of(fetched('a.test'), fetched('a.test', { destination_port: 80 })), null)
    assert.deepEqual(of(fetched('a.test', { destination_port: 8443 }), fetched('b.test')), {
      egress: { ports: [443, 8443] },
    })
    assert.deepEqual(
      of(
        fetched('a.test', { destination_port: 10_000 }),
        fetched('b.test', { destination_port: 9_000 }),
        fetched('b.test', { destination_port: 80 }),
      ),
      { egress: { ports: [80, 9_000, 10_000] } },
    )
    const inside = (host: string, ip: string) => fetched(host, { destination_ip: ip })
    assert.deepEqual(
      of(inside('b.test', '10.0.0.7'), inside('b.test', '10.0.0.3'), inside('c.test', '10.0.0.3')),
      { egress: { allowCidrs: ['10.0.0.3/32', '10.0.0.7/32'] } },
    )
    assert.deepEqual(of(inside('a.test', 'fd00::1')), { egress: { allowCidrs: ['fd00::1/128'] } })
    // where it is not known which address it was, none is needed
    assert.equal(of(fetched('a.test', { destination_ip: null })), null)
    // of what is left out it needs none
    assert.equal(
      of(inside('a.test', '10.0.0.7'), fetched('a.test', refused('MESH_POLICY_DENIED'))),
      null,
    )
    const one = suggest([inside('a.test', '10.0.0.7')], { tenant: 'acme' })
    assert.equal(one.global, null)
    assert.deepEqual(one.remarks, ['_global.json must have {"allowCidrs":["10.0.0.7/32"]}'])
    assert.deepEqual(suggest([inside('a.test', '10.0.0.7')]).remarks, [])
  })

  it('remarks how many rules name no paths, since it could not', () => {
    const get = (host: string, path: string) => fetched(host, { method: 'GET', path })
    assert.deepEqual(
      suggest([get('a.test', '/x*'), get('b.test', '/y*'), get('c.test', '/')]).remarks,
      ['2 rules name no paths: there are too many, or no rule can say them'],
    )
    // of a tunnel there are none to name
    assert.deepEqual(suggest([get('a.test', '/x*'), fetched('a.test')]).remarks, [])
  })

  it('allows the host alone where a header let the destination read another method or path', () => {
    const asked = { method: 'POST', path: '/things', reason: 'MESH_POLICY_NOT_ALLOWED' }
    const cases = [
      fetched('a.test', { ...asked, override: 'x-http-method-override' }),
      fetched('b.test', { ...asked, override: null }),
    ]
    const allow = ['a.test:443', { host: 'b.test:443', methods: ['POST'], paths: ['/things'] }]
    assert.deepEqual(suggest(cases).tenants, [egressOf({ bot: { allow } })])
  })

  it('has wildcards where it is told to, and none over what was refused to anybody', () => {
    const hosts = ['x.a.test', 'y.a.test'].map((host) => fetched(host))
    const allowed = (cases: readonly RecordedCase[], wildcards: number | null) =>
      suggest(cases, { wildcards }).tenants[0]?.egress?.agents?.bot?.allow
    assert.deepEqual(allowed(hosts, 2), ['*.a.test:443'])
    assert.deepEqual(allowed(hosts, 3), ['x.a.test:443', 'y.a.test:443'])
    assert.deepEqual(allowed(hosts, null), ['x.a.test:443', 'y.a.test:443'])
    for (const more of [
      fetched('z.a.test', refused('MESH_POLICY_DENIED'), 'globex/other'),
      fetched('z.a.test', refused('MESH_EGRESS_ADDRESS_REFUSED')),
    ])
      assert.deepEqual(allowed([...hosts, more], 2), ['x.a.test:443', 'y.a.test:443'])
  })
})

describe('a suggestion of calls', () => {
  const delegationOf = (cases: readonly RecordedCase[], tenant: string | null = null) =>
    suggest(cases, { tenant }).tenants.map((document) => document.delegation)

  it('has the rules of either side, hops as long as chains were, and who may begin one', () => {
    const chain = [id('acme/planner'), id('acme/writer')]
    const cases = [
      called('acme/planner', 'acme/writer', DELEGATE, { hop: 1, chain: [id('acme/planner')] }),
      called('acme/writer', 'globex/helper', DELEGATE, { hop: 2, chain }),
      called('acme/planner', 'acme/writer', 'p.S/M'),
    ]
    const acme = {
      allow: [
        { from: 'planner', to: 'writer', methods: [DELEGATE, 'p.S/M'] },
        { from: 'writer', to: 'globex/helper', methods: [DELEGATE] },
      ],
      maxHops: 2,
      agents: { writer: { mayOriginate: false } },
    }
    const globex = {
      accept: [{ from: 'acme/writer', to: 'helper', methods: [DELEGATE] }],
      maxHops: 0,
    }
    assert.deepEqual(delegationOf(cases), [acme, globex])
    assert.deepEqual(delegationOf(cases.toReversed()), [acme, globex])
    assert.deepEqual(delegationOf(cases, 'globex'), [globex])
    assert.deepEqual(delegationOf(cases, 'acme'), [acme])
    assert.equal(suggest(cases).records, 3)
    assert.equal(suggest(cases, { tenant: 'globex' }).records, 0)
    assert.deepEqual(delegationOf(cases, 'initech'), [])
  })

  it('bounds the hops of every tenant in a chain, as policy can say it', () => {
    const hop = (count: number, tenant: string) =>
      called('acme/bot', 'acme/writer', DELEGATE, {
        hop: count,
        chain: [id(`${tenant}/origin`), ...Array.from({ length: count - 1 }, () => id('acme/bot'))],
      })
    const hops = (cases: RecordedCase[]) =>
      suggest(cases).tenants.map(({ tenant, delegation }) => [tenant, delegation?.maxHops])
    assert.deepEqual(hops([hop(3, 'globex'), hop(2, 'globex'), hop(2, 'initech')]), [
      ['acme', 3],
      ['globex', 3],
      ['initech', 2],
    ])
    assert.deepEqual(hops([hop(64, 'acme')]), [['acme', 64]])
    assert.deepEqual(hops([hop(65, 'acme')]), [['acme', undefined]])
  })

  it('of one tenant has nothing of what others ask for', () => {
    const star = { method: 'GET', path: '/x*', destination_port: 8443 }
    const cases = [
      fetched('a.test'),
      fetched('b.test', star, 'globex/bot'),
      called('globex/bot', 'globex/writer', 'p.S/M'),
    ]
    const { tenants, remarks } = suggest(cases, { tenant: 'acme' })
    assert.deepEqual(tenants, [egressOf({ bot: { allow: ['a.test:443'] } })])
    assert.deepEqual(remarks, [])
  })

  it('has a rule for any method where one has a name that no rule can say, and deny rules beside it', () => {
    const odd = called('acme/bot', 'acme/writer', 'p.S/M/x')
    const denied = (method: string) =>
      called('acme/bot', 'acme/writer', method, refused('MESH_POLICY_DENIED'))
    const other = called('acme/bot', 'acme/writer2', 'p.S/N', refused('MESH_POLICY_DENIED'))
    const whole = { allow: [{ from: 'bot', to: 'writer' }], maxHops: 1 }
    assert.deepEqual(delegationOf([odd, other]), [whole])
    assert.deepEqual(delegationOf([odd, called('acme/bot', 'acme/writer', 'p.S/M')]), [whole])
    assert.deepEqual(delegationOf([odd, denied('p.S/N')]), [
      { ...whole, deny: [{ from: 'bot', to: 'writer', methods: ['p.S/N'] }] },
    ])
    // what no deny rule can say keeps all of it out
    const none = suggest([odd, denied('p.S/M/y')])
    assert.deepEqual([none.tenants, none.leftOut], [[], 1])
  })

  it('is of two hundred thousand destinations at most', () => {
    const suggesting = createSuggestion({ tenant: null, wildcards: null })
    const one = fetched('a.test', refused('MESH_EGRESS_ADDRESS_REFUSED'))
    assert.ok(one.plane === 'egress')
    const add = (n: number) =>
      suggesting.add({ ...one, question: { ...one.question, host: `h${n}.test` } })
    for (let n = 0; n < 200_000; n += 1) add(n)
    assert.throws(() => add(200_000), {
      code: 'MESH_POLICY_INVALID',
      message: /more than 200000 destinations/,
    })
  })

  it('asks for one hop where calls are made that lengthen no chain, and for none where none are', () => {
    const calls = [called('acme/bot', 'globex/writer', 'p.S/M'), fetched('a.test', {}, 'initech/x')]
    const hops = suggest(calls).tenants.map(({ tenant, delegation }) => [
      tenant,
      delegation?.maxHops,
    ])
    assert.deepEqual(hops, [
      ['acme', 1],
      ['globex', 0],
      ['initech', 0],
    ])
    assert.equal(suggest([fetched('a.test')]).tenants[0]?.delegation, undefined)
  })

  it('lets an agent that only sees tasks through begin none', () => {
    assert.deepEqual(delegationOf([called('acme/bot', 'acme/writer', WATCH)])[0]?.agents, {
      bot: { mayOriginate: false },
    })
    assert.equal(delegationOf([called('acme/bot', 'acme/writer', 'p.S/M')])[0]?.agents, undefined)
    const within = { hop: 1, chain: [id('acme/planner')] }
    assert.deepEqual(
      delegationOf([called('acme/bot', 'acme/writer', 'p.S/M', within)])[0]?.agents,
      {
        bot: { mayOriginate: false },
      },
    )
  })

  it('leaves out a method that a deny rule refused, and denies what an allowed one would bring', () => {
    const denied = (method: string) =>
      called('acme/bot', 'acme/writer', method, refused('MESH_POLICY_DENIED'))
    const some = suggest([
      called('acme/bot', 'acme/writer', DELEGATE),
      called('acme/bot', 'acme/writer', 'p.S/M'),
      denied('p.S/M'),
      denied(CANCEL),
      denied('p.S/N'),
    ])
    assert.deepEqual(some.tenants[0]?.delegation, {
      allow: [{ from: 'bot', to: 'writer', methods: [DELEGATE] }],
      deny: [{ from: 'bot', to: 'writer', methods: [CANCEL] }],
      maxHops: 1,
    })
    assert.deepEqual([some.leftOut, some.records, some.refused], [1, 2, 3])
    const none = suggest([called('acme/bot', 'acme/writer', 'p.S/M'), denied('p.S/M')])
    assert.deepEqual(none.tenants, [])
    assert.equal(none.leftOut, 1)
    // of another callee, and by another reason, it says nothing
    const other = suggest([
      called('acme/bot', 'acme/writer', 'p.S/M'),
      called('acme/bot', 'acme/other', 'p.S/M', refused('MESH_POLICY_DENIED')),
      called('acme/bot', 'acme/writer', 'p.S/M', refused('MESH_POLICY_NOT_ALLOWED')),
    ])
    assert.deepEqual(other.tenants[0]?.delegation?.allow?.length, 1)
    assert.equal(other.leftOut, 0)
  })
})
