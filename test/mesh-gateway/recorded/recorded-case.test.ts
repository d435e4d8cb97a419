/** What a record of the audit log says, field by field: the question that policy was asked and what came of it, or nothing. */
import assert from 'node:assert/strict'
import {
  agentNames,
  readCase,
  readFields,
  tenantsOfCase,
} from '../../../mesh-gateway/src/recorded/recorded-case.ts'
import { caseOf } from './records.ts'

const id = (name: string, tenant = 'acme') =>
  `spiffe://mesh.internal/tenant/${tenant}/agent/${name}`
const peer = (agent: string, tenant = 'acme') => ({ tenant, agent })

const EGRESS = {
  time: '2026-11-22T12:00:00.000Z',
  event: 'egress',
  tenant: 'acme',
  agent_id: 'bot',
  chain: null,
  refused_actor: null,
  destination_host: 'api.test',
  destination_port: 443,
  destination_ip: '192.0.2.1',
  method: 'GET',
  path: '/v1',
  override: 'x-original-url',
  action_allowed: true,
  reason: null,
  rule: 'acme.json#/egress/allow/0',
}
const DELEGATE = 'clawmesh.delegation.v1.DelegationService/Delegate'
const CALL = {
  time: '2026-11-22T12:00:00.000Z',
  event: 'delegation',
  tenant: 'acme',
  agent_id: 'bot',
  callee: id('writer', 'globex'),
  grpc_method: DELEGATE,
  hop: 2,
  chain: [id('planner', 'initech'), id('bot')],
  action_allowed: true,
  reason: null,
  rule: 'acme.json#/delegation/allow/0',
}
const egress = (more: object = {}) => JSON.stringify({ ...EGRESS, ...more })
const call = (more: object = {}) => JSON.stringify({ ...CALL, ...more })
const kindOf = (line: string) => {
  const reading = readCase(readFields(line), agentNames())
  return typeof reading === 'string' ? reading : reading.plane
}
const asEgress = (more: object = {}) => {
  const recorded = caseOf(egress(more))
  assert.ok(recorded.plane === 'egress')
  return recorded
}
const asCall = (more: object = {}) => {
  const recorded = caseOf(call(more))
  assert.ok(recorded.plane === 'delegation')
  return recorded
}

describe('the agent of a SPIFFE ID', () => {
  it('is read by the template of its mesh, in whatever trust domain', () => {
    const usual = agentNames()
    assert.deepEqual(usual(id('bot')), peer('bot'))
    assert.deepEqual(usual('spiffe://other.test/tenant/acme/agent/bot'), peer('bot'))
    const own = agentNames('/t/{tenant}/a/{agent}')
    assert.deepEqual(own('spiffe://mesh.internal/t/acme/a/bot'), peer('bot'))
    assert.equal(own(id('bot')), null)
    for (const none of [
      '',
      'acme/bot',
      'spiffe:///tenant/acme/agent/bot',
      'spiffe://Mesh_/tenant/acme/agent/bot',
      `x${id('bot')}`,
      'spiffe://mesh.internal/gateway/gw',
    ])
      assert.equal(usual(none), null, none)
  })
})

describe('a record of a request', () => {
  it('says what was asked and what came of it', () => {
    assert.deepEqual(caseOf(egress()), {
      ...{ time: EGRESS.time, allowed: true, code: null, rule: EGRESS.rule, times: 1 },
      plane: 'egress',
      question: {
        ...{ agent: peer('bot'), host: 'api.test', port: 443 },
        request: { method: 'GET', path: '/v1', override: 'x-original-url' },
        allowedDestinations: ['api.test:443'],
      },
      ...{ ip: '192.0.2.1', refusedActor: null },
    })
  })

  it('says whose chain it was within, and which actor was refused', () => {
    const { question, refusedActor } = asEgress({
      chain: [id('planner', 'globex'), id('writer')],
      ...{
        action_allowed: false,
        reason: 'MESH_CHAIN_ACTOR_REFUSED',
        refused_actor: 'globex/planner',
      },
    })
    assert.deepEqual(question.actors, [peer('planner', 'globex'), peer('writer')])
    assert.deepEqual(refusedActor, peer('planner', 'globex'))
    for (const actor of ['globex', 'Globex/planner', 'globex/', '', 7, 'globex/pl.an'])
      assert.equal(asEgress({ refused_actor: actor }).refusedActor, null)
    assert.deepEqual(asEgress({ chain: [] }).question.actors, [])
    assert.equal(asEgress({ chain: undefined }).question.actors, undefined)
  })

  it('of a tunnel has no request', () => {
    assert.equal(asEgress({ method: 'CONNECT', path: null }).question.request, null)
    assert.equal(asEgress({ path: 7 }).question.request, null)
  })

  it('has its host in canonical form, and of a number the address', () => {
    assert.equal(asEgress({ destination_host: 'API.Test.' }).question.host, 'api.test')
    const number = asEgress({ destination_host: '2001:DB8:0::1', destination_ip: null })
    assert.equal(number.question.host, '2001:db8::1')
    assert.equal(number.ip, '2001:db8::1')
    assert.deepEqual(number.question.allowedDestinations, ['[2001:db8::1]:443'])
    assert.equal(asEgress({ destination_host: '192.0.2.7' }).ip, '192.0.2.1')
    assert.equal(asEgress({ destination_ip: null }).ip, null)
  })

  it('tells of as many as it says, when that is a number of them', () => {
    for (const [repeated, times] of [
      [undefined, 1],
      [1, 1],
      [97, 97],
      [0, 1],
      [-3, 1],
      [1.5, 1],
      ['97', 1],
      [null, 1],
    ] as const)
      assert.equal(asEgress({ repeated }).times, times)
  })

  it('has no time, code or rule where those are no text', () => {
    const { time, code, rule } = asEgress({ time: 7, reason: 7, rule: {} })
    assert.deepEqual([time, code, rule], [null, null, null])
  })

  const kinds: [what: string, line: string, kind: string][] = [
    ['a request', egress(), 'egress'],
    ['port 1', egress({ destination_port: 1 }), 'egress'],
    ['port 65535', egress({ destination_port: 65_535 }), 'egress'],
    ['port 0', egress({ destination_port: 0 }), 'foreign'],
    ['port 65536', egress({ destination_port: 65_536 }), 'foreign'],
    ['half a port', egress({ destination_port: 443.5 }), 'foreign'],
    ['a port in text', egress({ destination_port: '443' }), 'foreign'],
    ['no host', egress({ destination_host: null }), 'other'],
    ['a host that is none', egress({ destination_host: 'a b' }), 'foreign'],
    ['no method', egress({ method: null }), 'foreign'],
    ['no tenant', egress({ tenant: null }), 'other'],
    ['no agent', egress({ agent_id: null }), 'other'],
    ['a tenant that is none', egress({ tenant: 'A' }), 'other'],
    ['an agent that is none', egress({ agent_id: 'a.b' }), 'other'],
    ['a chain that is no list', egress({ chain: 'acme' }), 'foreign'],
    ['a chain that is a number', egress({ chain: 7 }), 'foreign'],
    ['a chain that is an object', egress({ chain: {} }), 'foreign'],
    ['no chain at all', egress({ chain: undefined }), 'egress'],
    ['a chain of something else', egress({ chain: [id('a'), 7] }), 'foreign'],
    ['a chain with a gateway', egress({ chain: ['spiffe://mesh.internal/gateway/gw'] }), 'foreign'],
    ['no verdict', egress({ action_allowed: null }), 'foreign'],
    ['a verdict in text', egress({ action_allowed: 'true' }), 'foreign'],
    ['another event', egress({ event: 'login' }), 'foreign'],
    ['another event that is refused', egress({ event: 'login', action_allowed: false }), 'foreign'],
    ['no object', '7', 'foreign'],
    ['null', 'null', 'foreign'],
    ['no JSON', '{', 'foreign'],
    ['a call', call(), 'delegation'],
    ['a call of nobody', call({ agent_id: null }), 'other'],
    ['a call of the gateway’s own', call({ callee: null }), 'other'],
    ['a call to a gateway', call({ callee: 'spiffe://mesh.internal/gateway/gw' }), 'other'],
    ['a call without a method', call({ grpc_method: null }), 'other'],
    ['a call in a chain that is none', call({ chain: [7] }), 'foreign'],
  ]
  for (const [what, line, kind] of kinds)
    it(`is ${kind}: ${what}`, () => {
      assert.equal(kindOf(line), kind)
    })

  it('of a refusal is of policy when policy could have spared it', () => {
    const of = (event: 'egress' | 'delegation', reason: string | null) =>
      kindOf((event === 'egress' ? egress : call)({ action_allowed: false, reason }))
    for (const reason of [
      'MESH_POLICY_DENIED',
      'MESH_POLICY_NOT_ALLOWED',
      'MESH_POLICY_NOT_ACCEPTED',
      'MESH_POLICY_NO_TENANT',
      'MESH_POLICY_MAY_NOT_ORIGINATE',
      'MESH_POLICY_TOO_COSTLY',
      'MESH_EGRESS_PATH_TOO_LONG',
      'MESH_CHAIN_HOPS_EXCEEDED',
      'MESH_CHAIN_ACTOR_REFUSED',
      'MESH_EGRESS_PORT_REFUSED',
      'MESH_EGRESS_ADDRESS_REFUSED',
    ])
      for (const event of ['egress', 'delegation'] as const) assert.equal(of(event, reason), event)
    for (const reason of ['MESH_TOKEN_EXPIRED', 'MESH_LIMIT_RATE', 'x', null])
      for (const event of ['egress', 'delegation'] as const)
        assert.equal(of(event, reason), 'other')
    // what was let through and then went wrong was let through
    assert.equal(kindOf(egress({ reason: 'MESH_LIMIT_RATE' })), 'egress')
  })
})

describe('a record of a call', () => {
  it('says who called whom, and how long the chain is with it', () => {
    assert.deepEqual(caseOf(call()), {
      ...{ time: CALL.time, allowed: true, code: null, rule: CALL.rule, times: 1 },
      plane: 'delegation',
      question: {
        ...{ caller: peer('bot'), callee: peer('writer', 'globex') },
        ...{ method: DELEGATE, withinChain: true },
      },
      hop: 2,
      chainTenants: new Set(['initech', 'acme']),
    })
  })

  const hops: [what: string, more: object, hop: number | null, withinChain: boolean][] = [
    ['begun with it', { hop: 1, chain: [id('bot')] }, 1, false],
    ['without a hop', { hop: null, chain: null }, 1, false],
    ['with a hop that is none', { hop: 1.5 }, 1, false],
    ['with a hop in text', { hop: '4' }, 1, false],
    ['gone on to the third', { hop: 3 }, 3, true],
    // of a refusal the hop is that of the call which it came from
    [
      'refused at its beginning',
      { action_allowed: false, reason: 'MESH_POLICY_DENIED', hop: null, chain: null },
      1,
      false,
    ],
    [
      'refused within a chain',
      { action_allowed: false, reason: 'MESH_CHAIN_HOPS_EXCEEDED', hop: 1, chain: [id('planner')] },
      2,
      true,
    ],
    // a call that begins no task lengthens no chain
    ['about a task of a chain', { grpc_method: 'p.S/M', hop: 1 }, null, true],
    ['about a task of none', { grpc_method: 'p.S/M', hop: null, chain: null }, null, false],
    ['with an empty chain', { grpc_method: 'p.S/M', hop: null, chain: [] }, null, true],
  ]
  for (const [what, more, hop, withinChain] of hops)
    it(`knows its hop, and whether it was within a chain: ${what}`, () => {
      const recorded = asCall(more)
      assert.equal(recorded.hop, hop)
      assert.equal(recorded.question.withinChain, withinChain)
    })

  it('concerns the tenants of callee, caller and chain, and a request those of agent and actors', () => {
    assert.deepEqual(tenantsOfCase(asCall()), ['globex', 'acme', 'initech'])
    assert.deepEqual(tenantsOfCase(asCall({ chain: null })), ['globex', 'acme'])
    assert.deepEqual(tenantsOfCase(asEgress()), ['acme'])
    assert.deepEqual(tenantsOfCase(asEgress({ chain: [id('p', 'globex'), id('q')] })), [
      ...['acme', 'globex', 'acme'],
    ])
  })
})

describe('the name of an agent in a record', () => {
  const names = agentNames()
  const istio = agentNames('/ns/{tenant}/sa/{agent}')
  it('is read by its path, whatever the trust domain', () => {
    assert.deepEqual(names(id('bot')), peer('bot'))
    assert.deepEqual(names('spiffe://other.example/tenant/acme/agent/bot'), peer('bot'))
    assert.deepEqual(istio('spiffe://mesh.internal/ns/acme/sa/bot'), peer('bot'))
  })
  it('is none of a gateway, another path, another scheme or a domain that is none', () => {
    for (const text of [
      'spiffe://mesh.internal/gateway/gw',
      'spiffe://mesh.internal/ns/acme/sa/bot',
      `x${id('bot')}`,
      'https://mesh.internal/tenant/acme/agent/bot',
      'spiffe://Mesh_/tenant/acme/agent/bot',
      'spiffe:///tenant/acme/agent/bot',
      '',
    ])
      assert.equal(names(text), null, text)
    assert.equal(istio(id('bot')), null)
  })
})
