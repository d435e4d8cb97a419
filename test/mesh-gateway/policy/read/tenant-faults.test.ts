/** What is wrong between the parts of a policy file, each with its place; whatever shape the parts have. */
import assert from 'node:assert/strict'
import {
  globalFaults,
  tenantFaults,
} from '../../../../mesh-gateway/src/policy/read/tenant-faults.ts'

const ofAcme = (value: unknown) =>
  tenantFaults(value, 'acme').map(({ pointer, message }) => `${pointer}: ${message}`)
const ofGlobal = (value: unknown) =>
  globalFaults(value).map(({ pointer, message }) => `${pointer}: ${message}`)

describe('the parts of a tenant’s file', () => {
  it('have the name of the file, where they have a name at all', () => {
    assert.deepEqual(ofAcme({ tenant: 'acme' }), [])
    assert.deepEqual(ofAcme({ tenant: 'globex' }), [
      '/tenant: must be the name of the file, "acme"',
    ])
    // the schema says that it is missing, or no text
    for (const value of [{}, { tenant: 7 }, { tenant: null }]) assert.deepEqual(ofAcme(value), [])
  })

  const OTHER = 'is of another tenant; here stands an agent of acme'
  const OWN =
    'must name another tenant, e.g. globex/planner or globex/*; calls within the tenant need no accept'
  const rules: [list: 'allow' | 'accept', from: string, to: string, faults: string[]][] = [
    ['allow', 'planner', 'globex/writer', []],
    ['allow', '*', '*', []],
    ['allow', 'acme/planner', 'acme/writer', []],
    ['allow', 'acme/*', 'globex/*', []],
    ['allow', 'globex/planner', 'writer', [`from: "globex/planner" ${OTHER}`]],
    ['allow', 'globex/*', 'writer', [`from: "globex/*" ${OTHER}`]],
    ['accept', 'globex/planner', 'writer', []],
    ['accept', 'globex/*', 'acme/*', []],
    ['accept', 'globex/planner', 'acme/writer', []],
    ['accept', 'planner', 'writer', [`from: "planner" ${OWN}`]],
    ['accept', '*', 'writer', [`from: "*" ${OWN}`]],
    ['accept', 'acme/planner', 'writer', [`from: "acme/planner" ${OWN}`]],
    ['accept', 'globex/planner', 'globex/writer', [`to: "globex/writer" ${OTHER}`]],
    ['accept', 'planner', 'globex/x', [`from: "planner" ${OWN}`, `to: "globex/x" ${OTHER}`]],
    // what is no selector is a fault of the schema
    ['allow', 'a/b/c', 'writer', []],
    ['accept', 'A', '', []],
  ]
  for (const [list, from, to, faults] of rules)
    it(`let ${list} hold { from: ${from}, to: ${to} }: ${faults.length === 0 ? 'yes' : 'no'}`, () => {
      // the second one of the list, so that its place is told from that of the first
      const first = list === 'allow' ? { from: '*', to: '*' } : { from: 'globex/*', to: '*' }
      assert.deepEqual(
        ofAcme({ tenant: 'acme', delegation: { [list]: [first, { from, to }] } }),
        faults.map((fault) => `/delegation/${list}/1/${fault}`),
      )
    })

  const ALONE = 'has no effect without requestsPerMinute'
  const bursts: [egress: object, faults: string[]][] = [
    [{ limits: { requestsPerMinute: 60, burst: 5 } }, []],
    [{ limits: { requestsPerMinute: 60 } }, []],
    [{ limits: { burst: 5 } }, ['/egress/limits/burst']],
    [{ tenantLimits: { requestsPerMinute: 60, burst: 5 } }, []],
    [{ tenantLimits: { burst: 5 } }, ['/egress/tenantLimits/burst']],
    [
      { limits: { burst: 5 }, tenantLimits: { burst: 5 }, agents: { a: { limits: { burst: 5 } } } },
      ['/egress/limits/burst', '/egress/tenantLimits/burst', '/egress/agents/a/limits/burst'],
    ],
    [{ agents: { a: {}, b: { limits: { burst: 5 } } } }, ['/egress/agents/b/limits/burst']],
    [{ agents: { b: { limits: { burst: 5, requestsPerMinute: 1 } } } }, []],
    // the agent has the rate of its tenant, and a burst of its own
    [{ limits: { requestsPerMinute: 60 }, agents: { b: { limits: { burst: 5 } } } }, []],
    [
      { tenantLimits: { requestsPerMinute: 60 }, agents: { b: { limits: { burst: 5 } } } },
      ['/egress/agents/b/limits/burst'],
    ],
  ]
  for (const [egress, places] of bursts)
    it(`tell a burst without a rate: ${JSON.stringify(egress)}`, () => {
      assert.deepEqual(
        ofAcme({ egress }),
        places.map((place) => `${place}: ${ALONE}`),
      )
    })

  it('are passed over where they are of another shape, which the schema says', () => {
    const odd = [null, undefined, 7, 'x y', [], [null], [7], [[]], {}, { burst: null }, true]
    for (const value of odd) {
      assert.deepEqual(ofAcme(value), [])
      assert.deepEqual(ofAcme({ delegation: value, egress: value }), [])
      assert.deepEqual(ofAcme({ delegation: { allow: value, accept: value } }), [])
      assert.deepEqual(ofAcme({ delegation: { accept: [{ from: value, to: value }] } }), [])
      assert.deepEqual(ofAcme({ egress: { agents: value } }), [])
      assert.deepEqual(ofAcme({ egress: { agents: { a: value } } }), [])
      assert.deepEqual(ofGlobal(value), [])
      assert.deepEqual(ofGlobal({ egress: value, delegation: value }), [])
      assert.deepEqual(ofGlobal({ egress: { allowCidrs: value, tls: value } }), [])
      assert.deepEqual(ofGlobal({ egress: { allowCidrs: [value] } }), [])
      assert.deepEqual(
        ofGlobal({ egress: { tls: { ech: 'refuse', echOuterNames: value } } }).length,
        Array.isArray(value) && value.length > 0 ? 1 : 0,
      )
    }
  })

  it('are their own, and not those of every object', () => {
    const inherited = Object.create({ tenant: 'globex', egress: { limits: { burst: 5 } } })
    assert.deepEqual(ofAcme(inherited), [])
  })
})

describe('the parts of _global.json', () => {
  const NAMELESS = 'must name the tenant: tenant/agent'
  const rules: [from: string, to: string, faults: string[]][] = [
    ['*', '*', []],
    ['acme/*', '*', []],
    ['acme/planner', 'globex/writer', []],
    ['planner', '*', [`from: "planner" ${NAMELESS}`]],
    ['*', 'writer', [`to: "writer" ${NAMELESS}`]],
    ['planner', 'writer', [`from: "planner" ${NAMELESS}`, `to: "writer" ${NAMELESS}`]],
  ]
  for (const [from, to, faults] of rules)
    it(`let deny hold { from: ${from}, to: ${to} }: ${faults.length === 0 ? 'yes' : 'no'}`, () => {
      assert.deepEqual(
        ofGlobal({ delegation: { deny: [{ from, to }] } }),
        faults.map((fault) => `/delegation/deny/0/${fault}`),
      )
    })

  it('open no range that holds every address', () => {
    const found = ofGlobal({ egress: { allowCidrs: ['10.0.0.0/8', '0.0.0.0/0', '::/0', 7] } })
    const why =
      'opens loopback and metadata services to every agent; name the ranges that are needed'
    assert.deepEqual(found, [
      `/egress/allowCidrs/1: "0.0.0.0/0" ${why}`,
      `/egress/allowCidrs/2: "::/0" ${why}`,
    ])
    assert.deepEqual(ofGlobal({ egress: { denyCidrs: ['0.0.0.0/0'] } }), [])
    assert.deepEqual(ofGlobal({ egress: { allowCidrs: ['10.0.0.0/20'] } }), [])
  })

  it('name no outer names where no ClientHello with ECH passes', () => {
    const of = (tls: object) => ofGlobal({ egress: { tls } })
    const echOuterNames = ['a.test']
    assert.deepEqual(of({ ech: 'refuse', echOuterNames }), [
      '/egress/tls/echOuterNames: has no effect where "ech" is "refuse"',
    ])
    for (const tls of [
      { ech: 'allow', echOuterNames },
      { echOuterNames },
      { ech: 'refuse' },
      { ech: 'refuse', echOuterNames: [] },
      { ech: 'refuse', echOuterNames: 'a.test' },
    ])
      assert.deepEqual(of(tls), [])
  })
})
