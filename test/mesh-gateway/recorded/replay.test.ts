/** What a policy would change of recorded decisions: by name, by address, by hops, and how often. */
import assert from 'node:assert/strict'
import { caseJudge } from '../../../mesh-gateway/src/recorded/decide-case.ts'
import {
  agentNames,
  type RecordedCase,
  readCase,
  readFields,
} from '../../../mesh-gateway/src/recorded/recorded-case.ts'
import { createReplay, describeCase } from '../../../mesh-gateway/src/recorded/replay.ts'
import { policyOf } from '../policy/policies.ts'

const DELEGATE = 'clawmesh.delegation.v1.DelegationService/Delegate'
const id = (tenant: string, agent: string) =>
  `spiffe://mesh.internal/tenant/${tenant}/agent/${agent}`

function caseOf(fields: object): RecordedCase {
  const reading = readCase(readFields(JSON.stringify(fields)), agentNames())
  assert.ok(typeof reading !== 'string', String(reading))
  return reading
}
const fetched = (host: string, more: object = {}) =>
  caseOf({
    ...{ event: 'egress', tenant: 'acme', agent_id: 'bot', destination_host: host },
    ...{ destination_port: 443, destination_ip: '93.184.216.34', method: 'CONNECT', path: null },
    ...{ action_allowed: true, time: '2026-11-22T12:00:00.000Z', ...more },
  })
const called = (method: string, more: object = {}) =>
  caseOf({
    ...{ event: 'delegation', tenant: 'acme', agent_id: 'bot', callee: id('acme', 'writer') },
    ...{ grpc_method: method, action_allowed: true, ...more },
  })
const refused = (reason: string, more: object = {}) => ({ action_allowed: false, reason, ...more })

describe('what a policy makes of a recorded request', () => {
  const rules = { allow: ['a.test', '10.0.0.1', 'inside.test'], deny: ['denied.test'] }
  const enforce = caseJudge(
    policyOf({
      acme: { egress: rules },
      _global: { egress: { allowCidrs: ['10.1.0.0/16'], denyCidrs: ['198.51.100.0/24'] } },
    }),
  )
  const audit = caseJudge(policyOf({ acme: { mode: 'audit', egress: rules } }))
  const allow = (index: number) => `acme.json#/egress/allow/${index}`

  it('is by its name first, and then by its address', () => {
    assert.deepEqual(enforce(fetched('a.test')), { code: null, rule: allow(0), byAudit: false })
    assert.deepEqual(enforce(fetched('b.test')), {
      ...{ code: 'MESH_POLICY_NOT_ALLOWED', rule: null, byAudit: false },
    })
    assert.deepEqual(enforce(fetched('denied.test')), {
      ...{ code: 'MESH_POLICY_DENIED', rule: 'acme.json#/egress/deny/0', byAudit: false },
    })
    const inside = enforce(fetched('inside.test', { destination_ip: '10.1.2.3' }))
    assert.deepEqual(inside, { code: null, rule: allow(2), byAudit: false })
    for (const ip of ['10.2.0.1', '198.51.100.7', '127.0.0.1', '169.254.169.254']) {
      const { code, rule, byAudit } = enforce(fetched('a.test', { destination_ip: ip }))
      assert.equal(code, 'MESH_EGRESS_ADDRESS_REFUSED', ip)
      assert.ok(rule !== null && rule !== allow(0))
      assert.equal(byAudit, false)
    }
    // of a number the address is known, whatever was connected to
    assert.equal(
      enforce(fetched('10.0.0.1', { destination_ip: null })).code,
      'MESH_EGRESS_ADDRESS_REFUSED',
    )
  })

  it('is let through by audit mode, and that is said', () => {
    assert.deepEqual(audit(fetched('b.test')), { code: null, rule: null, byAudit: true })
    assert.deepEqual(audit(fetched('a.test')), { code: null, rule: allow(0), byAudit: false })
    assert.equal(audit(fetched('b.test', { destination_ip: null })).byAudit, true)
    assert.equal(audit(fetched('denied.test')).code, 'MESH_POLICY_DENIED')
  })

  it('stays a refusal of an address when nobody knows which it was', () => {
    const unknown = { destination_ip: null, rule: 'range' }
    const judged = (more: object) => enforce(fetched('a.test', { ...unknown, ...more }))
    assert.deepEqual(judged(refused('MESH_EGRESS_ADDRESS_REFUSED')), {
      ...{ code: 'MESH_EGRESS_ADDRESS_REFUSED', rule: 'range', byAudit: false },
    })
    assert.equal(judged(refused('MESH_POLICY_NOT_ALLOWED')).code, null)
    assert.equal(judged({ reason: 'MESH_EGRESS_ADDRESS_REFUSED' }).code, null)
  })
})

describe('what a policy makes of a recorded call', () => {
  const allow = [{ from: '*', to: '*' }]
  const judged = (delegation: object, recorded: RecordedCase, other: object = {}) =>
    caseJudge(policyOf({ acme: { delegation }, ...other }))(recorded)
  const hop = (count: number, origin = 'acme') =>
    called(DELEGATE, { hop: count, chain: [id(origin, 'origin'), id('acme', 'bot')] })

  it('is by its rules', () => {
    assert.deepEqual(judged({ allow }, called('p.S/M')), {
      ...{ code: null, rule: 'acme.json#/delegation/allow/0', byAudit: false },
    })
    assert.equal(judged({}, called('p.S/M')).code, 'MESH_POLICY_NOT_ALLOWED')
    const audit = caseJudge(policyOf({ acme: { mode: 'audit' } }))(called('p.S/M'))
    assert.deepEqual(audit, { code: null, rule: null, byAudit: true })
  })

  it('is by the hops that each tenant of its chain allows, 8 where it says nothing', () => {
    const exceeded = { code: 'MESH_CHAIN_HOPS_EXCEEDED', rule: null, byAudit: false }
    assert.equal(judged({ allow, maxHops: 3 }, hop(3)).code, null)
    assert.deepEqual(judged({ allow, maxHops: 3 }, hop(4)), exceeded)
    assert.equal(judged({ allow }, hop(8)).code, null)
    assert.deepEqual(judged({ allow }, hop(9)), exceeded)
    const globex = (maxHops: number) => ({ globex: { delegation: { maxHops } } })
    assert.equal(judged({ allow }, hop(2, 'globex'), globex(2)).code, null)
    assert.deepEqual(judged({ allow }, hop(3, 'globex'), globex(2)), exceeded)
    // a tenant without policy allows none
    assert.deepEqual(judged({ allow }, hop(2, 'globex')), exceeded)
    // what lengthens no chain has no hop to be judged
    const about = called('p.S/M', { hop: 9, chain: [id('acme', 'origin')] })
    assert.equal(judged({ allow, maxHops: 1 }, about).code, null)
  })
})

describe('a replay', () => {
  const policy = policyOf({ acme: { egress: { allow: ['a.test', 'b.test'] } } })

  it('counts what stays, what would be refused, and what would be let through', () => {
    const replay = createReplay(policy, 10)
    const before = refused('MESH_POLICY_NOT_ALLOWED')
    const cases = [
      fetched('a.test'),
      fetched('z.test', before),
      fetched('z.test', { ...before, repeated: 3 }),
      fetched('y.test', { time: '2026-11-22T13:00:00.000Z' }),
      fetched('y.test', { time: '2026-11-22T14:00:00.000Z' }),
      fetched('b.test', { ...before, repeated: 5, time: null }),
    ]
    for (const one of cases) replay.add(one)
    assert.deepEqual(replay.result(), {
      ...{ same: 5, byAudit: 0, newlyRefused: 2, newlyAllowed: 5 },
      examples: {
        newlyRefused: [
          {
            ...{ plane: 'egress', agent: 'acme/bot', what: 'CONNECT y.test:443' },
            ...{ code: 'MESH_POLICY_NOT_ALLOWED', rule: null, count: 2 },
            time: '2026-11-22T13:00:00.000Z',
          },
        ],
        newlyAllowed: [
          {
            ...{ plane: 'egress', agent: 'acme/bot', what: 'CONNECT b.test:443' },
            ...{ code: 'MESH_POLICY_NOT_ALLOWED', rule: 'acme.json#/egress/allow/1', count: 5 },
            time: null,
          },
        ],
      },
    })
  })

  it('counts what audit mode alone lets through, whatever it was before', () => {
    const replay = createReplay(policyOf({ acme: { mode: 'audit' } }), 10)
    replay.add(fetched('a.test'))
    replay.add(fetched('a.test', refused('MESH_POLICY_NOT_ALLOWED', { repeated: 4 })))
    const { byAudit, same, newlyAllowed } = replay.result()
    assert.deepEqual([byAudit, same, newlyAllowed], [5, 1, 4])
  })

  it('shows so many kinds of changes, and counts the others', () => {
    const replay = createReplay(policy, 2)
    for (const host of ['x.test', 'y.test', 'z.test', 'x.test']) replay.add(fetched(host))
    const { newlyRefused, examples } = replay.result()
    assert.equal(newlyRefused, 4)
    assert.deepEqual(
      examples.newlyRefused.map(({ what, count }) => [what, count]),
      [
        ['CONNECT x.test:443', 2],
        ['CONNECT y.test:443', 1],
      ],
    )
  })

  it('says of each what was done by whom', () => {
    const table: [recorded: RecordedCase, what: string][] = [
      [fetched('a.test'), 'CONNECT a.test:443'],
      [fetched('a.test', { method: 'GET', path: '/v1?x' }), 'GET a.test:443/v1?x'],
      [fetched('2001:db8::1', { method: 'GET', path: '/' }), 'GET [2001:db8::1]:443/'],
      [called('p.S/M'), 'acme/writer p.S/M'],
    ]
    for (const [recorded, what] of table)
      assert.deepEqual(describeCase(recorded), { agent: 'acme/bot', what })
  })
})
