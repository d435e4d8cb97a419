/**
 * An agent reads nothing of another tenant's policy: not in a refusal, an explanation or a list. Whatever another tenant writes,
 * the agent sees the code, and of a chain the actor. The operator's commands and the audit log have the whole reason.
 */
import assert from 'node:assert/strict'
import { createSpiffeTemplate, type MeshError } from '@clawmesh/proto'
import fc from 'fast-check'
import { explainTo } from '../../../mesh-gateway/src/delegation/own-services/explain.ts'
import { decideDelegation } from '../../../mesh-gateway/src/policy/decide/decide-delegation.ts'
import { decideEgress } from '../../../mesh-gateway/src/policy/decide/decide-egress.ts'
import {
  explainDelegation,
  explainEgress,
  type PolicySnapshot,
} from '../../../mesh-gateway/src/policy/index.ts'
import { refusalOf, toldRule } from '../../../mesh-gateway/src/policy/read/told.ts'
import { policyOf } from './policies.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const writer = { tenant: 'acme', agent: 'writer' }
const cfo = { tenant: 'globex', agent: 'cfo' }
const acme = {
  egress: { allow: ['ledger.example', 'api.example.com'] },
  delegation: { allow: [{ from: 'writer', to: 'globex/cfo' }] },
}

/** Of a fetch by acme/writer within a chain that came through globex/cfo. */
const egress = {
  agent: writer,
  actors: [cfo],
  host: 'ledger.example',
  port: 443,
  request: { method: 'GET', path: '/q3/forecast' },
  allowedDestinations: ['ledger.example'],
}
const call = { caller: writer, callee: cfo, method: 'mesh.Bank/Pay', withinChain: false }

/** All that the wire says of a refusal. */
function wire(error: MeshError) {
  const { code, publicMessage, hint, facts } = error
  return { code, publicMessage, hint, facts }
}

/** What an agent of acme reads when it fetches, calls and asks. */
function toldToAcme(policy: PolicySnapshot) {
  const fetched = decideEgress(egress, policy)
  const called = decideDelegation(call, policy)
  const question = { from: '', to: 'globex/cfo', method: call.method, within_chain: false }
  const asked = { ...question, host: '' }
  const explained = explainTo(spiffe.agent('acme', 'writer'), asked, {
    policy,
    meshDomain: 'mesh.internal',
  })
  return {
    fetched: fetched.action === 'deny' ? wire(refusalOf(fetched, 'acme')) : null,
    fetchRule: toldRule(fetched.rule, 'acme'),
    called: called.action === 'deny' ? wire(refusalOf(called, 'acme')) : null,
    explained,
    codes: [fetched.action, fetched.code, called.action, called.code, called.mode],
  }
}

describe('an agent', () => {
  const paths = { host: 'ledger.example', paths: ['/q2/**'], methods: ['GET'] }
  const rows: [what: string, globex: object | null][] = [
    ['paths that the actor may reach', { egress: { allow: [paths] } }],
    ['a name that is nearly the one', { egress: { allow: ['ledgers.example'] } }],
    ['another agent that may', { egress: { agents: { auditor: { allow: ['ledger.example'] } } } }],
    [
      'a deny rule',
      { egress: { allow: ['ledger.example'], deny: ['*.example', 'ledger.example'] } },
    ],
    ['a rule for another port', { egress: { allow: ['ledger.example:8443'] } }],
    ['no policy at all', null],
  ]
  for (const [what, globex] of rows)
    it(`whose chain came through another tenant learns the code and the actor, and not of ${what}`, () => {
      const policy = policyOf({ acme, ...(globex === null ? {} : { globex }) })
      const decision = decideEgress(egress, policy)
      assert.deepEqual(wire(refusalOf(decision, 'acme')), {
        code: 'MESH_CHAIN_ACTOR_REFUSED',
        publicMessage: refusalOf(decision, 'acme').publicMessage,
        hint: 'the chain came through globex/cfo, which may not reach it',
        facts: {},
      })
      assert.deepEqual(decision.actor, cfo)
      // the operator reads on
      assert.match(explainEgress(egress, policy).hint ?? '', /which may not reach it: \S/)
    })

  it('of the tenant of the actor is told all of it', () => {
    const policy = policyOf({
      globex: {
        egress: {
          agents: { cfo: { deny: ['ledger.example'] }, bot: {} },
          allow: ['ledger.example'],
        },
      },
    })
    const decision = decideEgress({ ...egress, agent: { tenant: 'globex', agent: 'bot' } }, policy)
    assert.equal(decision.code, 'MESH_CHAIN_ACTOR_REFUSED')
    assert.match(decision.hint ?? '', /denied by globex\.json/)
    assert.equal(toldRule(decision.rule, 'globex'), 'globex.json#/egress/agents/cfo/deny/0')
  })

  const accepts: [what: string, globex: object | null, code: string][] = [
    [
      'methods',
      {
        delegation: {
          accept: [{ from: 'acme/writer', to: 'cfo', methods: ['mesh.Bank/Balance'] }],
        },
      },
      'MESH_POLICY_NOT_ACCEPTED',
    ],
    [
      'rules for others',
      { delegation: { accept: [{ from: 'umbrella/*', to: '*' }] } },
      'MESH_POLICY_NOT_ACCEPTED',
    ],
    ['no policy at all', null, 'MESH_POLICY_NOT_ACCEPTED'],
    ['a deny rule', { delegation: { deny: [{ from: 'acme/*', to: '*' }] } }, 'MESH_POLICY_DENIED'],
  ]
  for (const [what, globex, code] of accepts)
    it(`that another tenant does not accept learns that, and not of ${what}`, () => {
      const policy = policyOf({ acme, ...(globex === null ? {} : { globex }) })
      const { called, explained } = toldToAcme(policy)
      assert.equal(called?.code, code)
      assert.deepEqual(called?.facts, {})
      assert.deepEqual([explained.code, explained.rule, explained.file], [code, '', ''])
      assert.doesNotMatch(
        JSON.stringify([called, explained]),
        /Balance|umbrella|globex\.json#|has no policy/,
      )
      assert.match(JSON.stringify(explainDelegation(call, policy)), /Balance|globex|has no policy/)
    })

  it('that is let through across tenants learns of the rule of its own tenant alone', () => {
    const policy = policyOf({
      acme,
      globex: { delegation: { accept: [{ from: 'acme/*', to: 'cfo' }] } },
    })
    assert.equal(
      decideDelegation(call, policy).rule,
      'acme.json#/delegation/allow/0 and globex.json#/delegation/accept/0',
    )
    const { explained } = toldToAcme(policy)
    assert.equal(explained.rule, 'acme.json#/delegation/allow/0')
    assert.equal(explained.file, 'acme.json')
  })

  const seed = Date.now() % 2 ** 31

  it(`reads the same whatever another tenant writes, as long as the codes are the same (seed ${seed})`, () => {
    const host = fc.constantFrom(
      'ledger.example',
      '*.example',
      'ledgers.example',
      'secret.globex.example:8443',
    )
    const rule = fc.record({
      host,
      paths: fc.constantFrom(['/q3/**'], ['/private/*']),
      methods: fc.constantFrom(['GET'], ['PUT']),
    })
    const selector = fc.constantFrom('acme/writer', 'acme/*', 'umbrella/x')
    const method = fc.constantFrom(['mesh.Bank/Pay'], ['mesh.Bank/*'], ['secret.Plan/Read'])
    const other = fc.option(
      fc.record({
        mode: fc.constantFrom('enforce', 'audit'),
        egress: fc.record({
          allow: fc.array(fc.oneof(host, rule), { maxLength: 3 }),
          deny: fc.array(host, { maxLength: 1 }),
          agents: fc.dictionary(
            fc.constantFrom('cfo', 'auditor'),
            fc.record({ allow: fc.array(host, { maxLength: 2 }) }),
          ),
        }),
        delegation: fc.record({
          accept: fc.array(
            fc.record({ from: selector, to: fc.constantFrom('cfo', '*'), methods: method }),
            { maxLength: 3 },
          ),
          deny: fc.array(fc.record({ from: selector, to: fc.constantFrom('cfo', '*') }), {
            maxLength: 1,
          }),
        }),
      }),
    )
    const seen = new Map<string, object>()
    fc.assert(
      fc.property(other, (globex) => {
        const policy = policyOf({ acme, ...(globex === null ? {} : { globex }) })
        const { codes, ...told } = toldToAcme(policy)
        const key = JSON.stringify(codes)
        const before = seen.get(key)
        if (before === undefined) seen.set(key, told)
        else assert.deepEqual(told, before, key)
      }),
      { numRuns: 400, seed },
    )
    assert.ok(seen.size >= 6, `${seen.size} kinds of answers were seen`)
  })
})
