/** Of a decision an agent is told what stands in its own tenant's policy and in the operator's, and of nobody else's. */
import assert from 'node:assert/strict'
import { ERRORS } from '@clawmesh/proto'
import {
  explainDelegation,
  explainEgress,
  explainToCaller,
  parseMethodName,
} from '../../../../mesh-gateway/src/policy/decide/explain.ts'
import { refusalOf, toldFile, toldRule } from '../../../../mesh-gateway/src/policy/read/told.ts'
import { policyOf } from '../policies.ts'

const OWN = 'acme.json#/delegation/allow/0'
const GLOBAL = '_global.json#/egress/deny/0'
const OTHER = 'globex.json#/delegation/accept/0'

describe('what an agent is told', () => {
  const rules: [rule: string | null, told: string | null][] = [
    [null, null],
    [OWN, OWN],
    [GLOBAL, GLOBAL],
    [OTHER, null],
    [`${OWN} and ${OTHER}`, OWN],
    [`${OTHER} and ${OWN}`, OWN],
    [`${OWN} and ${GLOBAL}`, `${OWN} and ${GLOBAL}`],
    ['xacme.json#/a', null],
    ['acme.json.bak#/a', null],
  ]
  for (const [rule, told] of rules)
    it(`of the rule ${rule} is ${told}`, () => {
      assert.equal(toldRule(rule, 'acme'), told)
    })

  it('of a file is its own, or that of all', () => {
    assert.equal(toldFile('acme.json', 'acme'), 'acme.json')
    assert.equal(toldFile('_global.json', 'acme'), '_global.json')
    assert.equal(toldFile('globex.json', 'acme'), null)
    assert.equal(toldFile(null, 'acme'), null)
  })

  it('of a refusal has its code, its hint or that of the code, and the rule beside other facts', () => {
    const decision = { action: 'deny', code: 'MESH_POLICY_DENIED', mode: 'enforce' } as const
    const told = refusalOf({ ...decision, rule: OWN, hint: 'do this' }, 'acme', { host: 'a.test' })
    assert.equal(told.code, 'MESH_POLICY_DENIED')
    assert.equal(told.hint, 'do this')
    assert.deepEqual(told.facts, { host: 'a.test', rule: OWN })
    const other = refusalOf({ ...decision, rule: OTHER, hint: null }, 'acme', { host: 'a.test' })
    assert.equal(other.hint, ERRORS.MESH_POLICY_DENIED.hint)
    assert.deepEqual(other.facts, { host: 'a.test' })
    assert.deepEqual(refusalOf({ ...decision, rule: null, hint: null }, 'acme').facts, {})
    const uncoded = refusalOf({ ...decision, code: null, rule: null, hint: null }, 'acme')
    assert.equal(uncoded.code, 'MESH_POLICY_NOT_ALLOWED')
  })
})

describe('a decision in words', () => {
  const policy = policyOf(
    {
      acme: {
        egress: { allow: ['a.test'], deny: ['d.test'], limits: { requestsPerMinute: 60 } },
        delegation: {
          allow: [
            { from: 'bot', to: 'globex/cfo' },
            { from: 'bot', to: 'writer' },
          ],
        },
      },
      globex: { delegation: { accept: [{ from: 'acme/bot', to: 'cfo', methods: ['p.S/M'] }] } },
    },
    7,
  )
  const bot = { tenant: 'acme', agent: 'bot' }
  const egress = (host: string, agent = bot) =>
    explainEgress(
      { agent, host, port: 443, request: null, allowedDestinations: ['*.test', 'a.test'] },
      policy,
    )
  const call = (callee: string, method = 'p.S/M', tenant = 'acme') => ({
    ...{ caller: { ...bot, tenant }, method, withinChain: false },
    callee: { tenant: callee.split('/')[0] ?? '', agent: callee.split('/')[1] ?? '' },
  })

  it('names the rule and its file, with limits and the generation that was asked', () => {
    assert.deepEqual(egress('a.test'), {
      ...{ action: 'allow', code: null, reason: null, hint: null, mode: 'enforce' },
      ...{ rule: 'acme.json#/egress/allow/0', file: 'acme.json', generation: 7 },
      limits: {
        ...{ requestsPerMinute: 60, burst: 6, concurrentTunnels: null },
        ...{ concurrentRequests: null, maxBodyBytes: null },
      },
    })
  })

  it('names the file in which a rule is missing, if there is one', () => {
    const missing = egress('unlike.test')
    assert.equal(missing.reason, ERRORS.MESH_POLICY_NOT_ALLOWED.meaning)
    assert.deepEqual([missing.rule, missing.file], [null, 'acme.json'])
    assert.match(missing.hint ?? '', /add "unlike\.test" to egress\.allow of acme\.json/)
    assert.equal(egress('unlike.test', { ...bot, tenant: 'initech' }).file, null)
    const accepted = explainDelegation(call('globex/cfo', 'p.S/N'), policy)
    assert.deepEqual([accepted.code, accepted.file], ['MESH_POLICY_NOT_ACCEPTED', 'globex.json'])
    assert.match(accepted.hint ?? '', /names methods p\.S\/M only/)
    assert.equal(explainDelegation(call('acme/other'), policy).file, 'acme.json')
  })

  it('names _global.json where its rule decided', () => {
    const global = policyOf({ acme: {}, _global: { egress: { deny: ['d.test'], ports: [443] } } })
    const question = { agent: bot, host: 'd.test', port: 443, request: null }
    const denied = explainEgress({ ...question, allowedDestinations: [] }, global)
    assert.deepEqual([denied.rule, denied.file], ['_global.json#/egress/deny/0', '_global.json'])
    const port = explainEgress(
      { ...question, port: 80, allowedDestinations: [] },
      policyOf({
        acme: {},
        _global: { egress: { ports: [443] } },
      }),
    )
    assert.equal(port.file, '_global.json')
  })

  it('has the hint of the code where there is none of its own', () => {
    const denied = policyOf({
      acme: { delegation: { allow: [{ from: '*', to: '*' }], deny: [{ from: 'bot', to: '*' }] } },
    })
    const { hint } = explainDelegation(call('acme/writer'), denied)
    assert.equal(hint, ERRORS.MESH_POLICY_DENIED.hint)
    assert.equal(explainDelegation(call('acme/writer'), policy).hint, null)
  })

  it('has nothing of another tenant for its caller', () => {
    const told = explainToCaller(call('globex/cfo', 'p.S/N'), policy)
    assert.deepEqual([told.code, told.rule, told.file], ['MESH_POLICY_NOT_ACCEPTED', null, null])
    assert.doesNotMatch(told.hint ?? '', /p\.S\/M/)
    const allowed = explainToCaller(call('globex/cfo'), policy)
    assert.deepEqual([allowed.rule, allowed.file], ['acme.json#/delegation/allow/0', 'acme.json'])
  })

  it('takes the name of a method with or without its slash', () => {
    for (const text of ['p.S/M', '/p.S/M']) assert.equal(parseMethodName(text), 'p.S/M')
    for (const text of [
      '',
      'M',
      '//p.S/M',
      'p.S/M/',
      'p.S/M x',
      ' p.S/M',
      'p.S/',
      '/M',
      '1.S/M',
      'p.S/1',
    ])
      assert.equal(parseMethodName(text), null, text)
    assert.equal(parseMethodName(`S/${'m'.repeat(510)}`)?.length, 512)
    assert.equal(parseMethodName(`S/${'m'.repeat(511)}`), null)
  })
})
