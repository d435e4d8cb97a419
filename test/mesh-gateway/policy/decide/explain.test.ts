/** A decision in words: which file it stands in, or which one lacks a rule. */
import assert from 'node:assert/strict'
import {
  explainDelegation,
  explainEgress,
  explainToCaller,
} from '../../../../mesh-gateway/src/policy/decide/explain.ts'
import { policyOf } from '../policies.ts'

describe('a decision that is explained', () => {
  const policy = policyOf({
    _global: { egress: { deny: ['evil.test'] } },
    acme: { delegation: { allow: [{ from: '*', to: 'globex/*' }] }, egress: { allow: ['*.test'] } },
    globex: { delegation: { accept: [{ from: 'acme/planner', to: 'writer' }] } },
  })
  const ask = (from: string, to: string) => {
    const [caller, callee] = [from, to].map((name) => {
      const [tenant = '', agent = ''] = name.split('/')
      return { tenant, agent }
    })
    assert.ok(caller !== undefined && callee !== undefined)
    return { caller, callee, method: 'a.B/C', withinChain: false }
  }
  const egress = (host: string, tenant = 'acme') => ({
    agent: { tenant, agent: 'planner' },
    ...{ host, port: 443, request: null, allowedDestinations: ['*.test', host] },
  })

  it('names the file of the rule that decided, whosever it is', () => {
    for (const [explained, action, rule] of [
      [explainEgress(egress('evil.test'), policy), 'deny', '_global.json#/egress/deny/0'],
      [explainEgress(egress('good.test'), policy), 'allow', 'acme.json#/egress/allow/0'],
      [
        explainDelegation(ask('acme/planner', 'globex/writer'), policy),
        'allow',
        'acme.json#/delegation/allow/0 and globex.json#/delegation/accept/0',
      ],
    ] as const) {
      assert.deepEqual([explained.action, explained.rule], [action, rule])
      assert.equal(explained.file, rule.split('#')[0])
    }
  })

  it('names the file that lacks a rule, and none where there is no such file', () => {
    const files = (explained: { readonly file: string | null; readonly rule: string | null }) => {
      assert.equal(explained.rule, null)
      return explained.file
    }
    assert.equal(files(explainEgress(egress('a.example'), policy)), 'acme.json')
    assert.equal(files(explainEgress(egress('a.example', 'nobody'), policy)), null)
    const notAccepted = ask('acme/other', 'globex/writer')
    assert.equal(files(explainDelegation(notAccepted, policy)), 'globex.json')
    assert.equal(files(explainToCaller(notAccepted, policy)), null, 'it is of another tenant')
    assert.equal(files(explainDelegation(ask('globex/a', 'acme/b'), policy)), 'globex.json')
  })

  it('in audit mode gives the advice of enforce, for that is what an audit is for', () => {
    const rules = {
      delegation: { allow: [{ from: 'planner', to: 'researcher' }] },
      egress: { allow: ['api.test'], agents: { canary: { allow: ['x.test'] } } },
    }
    const accepting = { delegation: { accept: [{ from: 'acme/a', to: 'b' }] } }
    const of = (mode: 'audit' | 'enforce') => {
      const files = { acme: { mode, ...rules }, globex: { mode, ...accepting } }
      const known = policyOf(files)
      return [
        ...[ask('acme/planner', 'acme/reseacher'), ask('acme/planner', 'acme/writer')],
        ...[ask('acme/planner', 'globex/b'), ask('acme/researcher', 'acme/planner')],
      ]
        .map((question) => explainDelegation(question, known))
        .concat(
          ['ap.test', 'other.example', 'x.test'].map((host) => explainEgress(egress(host), known)),
        )
        .map(({ code, hint }) => `${code}: ${hint}`)
    }
    assert.deepEqual(of('audit'), of('enforce'))
    assert.match(of('audit')[0] ?? '', /names reseacher; researcher is named$/)
    assert.match(of('audit')[5] ?? '', /add "other\.example" to egress\.allow of acme\.json/)
  })
})
