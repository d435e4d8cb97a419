import assert from 'node:assert/strict'
import { decideEgress, type EgressQuestion } from '../../../../mesh-gateway/src/policy/index.ts'
import { policyOf } from '../policies.ts'

const agent = (name: string, tenant = 'acme') => ({ tenant, agent: name })

describe('an egress decision within a chain of delegation', () => {
  const policy = policyOf({
    acme: {
      egress: {
        agents: {
          planner: { allow: ['api.example.com', 'planner.example.com'] },
          writer: { allow: ['api.example.com', 'writer.example.com'] },
          canary: { mode: 'audit' },
          barred: { allow: ['api.example.com'], deny: ['api.example.com'] },
        },
      },
    },
  })
  const ask = (host: string, actors: EgressQuestion['actors'], who = agent('writer')) =>
    decideEgress(
      {
        agent: who,
        host,
        port: 443,
        request: null,
        allowedDestinations: [host],
        ...(actors === undefined ? {} : { actors }),
      },
      policy,
    )

  it('is that of the agent alone when nobody delegated to it', () => {
    assert.equal(ask('writer.example.com', undefined).action, 'allow')
    assert.equal(ask('writer.example.com', []).action, 'allow')
  })

  it('allows what everybody in it may reach', () => {
    assert.equal(ask('api.example.com', [agent('planner')]).action, 'allow')
  })

  it('refuses what one of them may not, and names that one', () => {
    const decision = ask('writer.example.com', [agent('planner')])
    assert.equal(decision.action, 'deny')
    assert.equal(decision.code, 'MESH_CHAIN_ACTOR_REFUSED')
    assert.deepEqual(decision.actor, agent('planner'))
    assert.match(decision.hint ?? '', /acme\/planner/)
  })

  it('refuses what the agent itself may not, whoever sent it', () => {
    const decision = ask('planner.example.com', [agent('planner')])
    assert.equal(decision.code, 'MESH_POLICY_NOT_ALLOWED')
    assert.equal(decision.actor, undefined)
    // and when nobody may, it is its own refusal as well
    const nobody = ask('nowhere.example.com', [agent('planner')])
    assert.equal(nobody.code, 'MESH_POLICY_NOT_ALLOWED')
    assert.equal(nobody.actor, undefined)
  })

  it('holds for every link, denies and tenants without policy included', () => {
    const denied = ask('api.example.com', [agent('planner'), agent('barred')])
    assert.deepEqual(denied.actor, agent('barred'))
    assert.equal(denied.rule, 'acme.json#/egress/agents/barred/deny/0')
    const foreign = ask('api.example.com', [agent('planner', 'unknown')])
    assert.deepEqual(foreign.actor, agent('planner', 'unknown'))
  })

  it('lets an actor in audit mode pass, as it would alone', () => {
    assert.equal(ask('api.example.com', [agent('canary')]).action, 'allow')
  })

  describe('is as strict as the rule of any link', () => {
    const host = 'api.example.com'
    const plain = { allow: [host] }
    const nameless = { allow: [{ host, noServerName: 'allow' }] }
    const paths = { allow: [{ host, paths: ['/v1/**'] }] }
    const audit = { mode: 'audit' }
    const linked = policyOf({ acme: { egress: { agents: { plain, nameless, paths, audit } } } })
    const asks = (links: readonly string[], path: string | null = null) => {
      const [who = '', ...actors] = links
      const request = path === null ? null : { method: 'GET', path }
      return decideEgress(
        {
          ...{ agent: agent(who), actors: actors.map((name) => agent(name)) },
          ...{ host, port: 443, request, allowedDestinations: [host] },
        },
        linked,
      )
    }

    // the agent that asks stands first, then those that delegated to it
    const serverNames: [links: string[], without: boolean][] = [
      [['nameless'], true],
      [['plain'], false],
      [['audit'], false],
      [['nameless', 'nameless'], true],
      [['nameless', 'plain'], false],
      [['nameless', 'audit'], false],
      [['plain', 'nameless'], false],
      [['nameless', 'nameless', 'plain'], false],
      [['nameless', 'plain', 'nameless'], false],
      [['plain', 'plain'], false],
    ]
    for (const [links, without] of serverNames)
      it(`about a ClientHello without a server name: ${links} ${without ? 'may' : 'may not'} send one`, () => {
        const decision = asks(links)
        assert.equal(decision.withoutServerName, without)
        assert.equal(decision.action, links[0] === 'audit' ? 'audit' : 'allow')
      })

    // what a rule with paths has judged is what is sent on
    const judged: [links: string[], path: string | null][] = [
      [['plain'], null],
      [['paths'], '/v1/a'],
      [['plain', 'paths'], '/v1/a'],
      [['paths', 'plain'], '/v1/a'],
      [['plain', 'paths', 'plain'], '/v1/a'],
      [['nameless', 'plain', 'nameless'], null],
    ]
    for (const [links, path] of judged)
      it(`about the path of a request: that of ${links} is ${path ?? 'judged by nobody'}`, () => {
        assert.equal(asks(links, '/%761/a').path, path)
      })

    it('about what is within the paths of one of them', () => {
      const refused = asks(['plain', 'paths'], '/v2/a')
      assert.equal(refused.code, 'MESH_CHAIN_ACTOR_REFUSED')
      assert.deepEqual(refused.actor, agent('paths'))
    })
  })

  describe('of an agent that may not originate', () => {
    const bound = policyOf({
      acme: {
        mode: 'audit',
        egress: { allow: ['api.example.com'], deny: ['denied.example.com'] },
        delegation: { agents: { writer: { mayOriginate: false } } },
      },
    })
    const asks = (more: Partial<EgressQuestion>, host = 'api.example.com') =>
      decideEgress(
        {
          ...{ agent: agent('writer'), host, port: 443, request: null },
          ...{ allowedDestinations: [host], ...more },
        },
        bound,
      )

    it('is a refusal outside a chain, in audit mode too, that names the rule and what to do', () => {
      for (const more of [{}, { actors: [] }, { withinChain: false }]) {
        const { action, code, rule, hint } = asks(more)
        assert.deepEqual([action, code], ['deny', 'MESH_POLICY_MAY_NOT_ORIGINATE'])
        assert.equal(rule, 'acme.json#/delegation/agents/writer/mayOriginate')
        assert.match(hint ?? '', /delegation token/)
      }
      assert.equal(asks({}, 'denied.example.com').code, 'MESH_POLICY_DENIED')
    })

    it('is that of any other within one', () => {
      assert.equal(asks({ actors: [agent('planner')] }).action, 'allow')
      assert.equal(asks({ withinChain: true }).action, 'allow')
    })

    it('is a refusal for everybody in a chain that it began, and not in one that it is part of', () => {
      const begun = asks({ agent: agent('researcher'), actors: [agent('writer')] })
      assert.equal(begun.code, 'MESH_CHAIN_ACTOR_REFUSED')
      assert.deepEqual(begun.actor, agent('writer'))
      const part = [agent('planner'), agent('writer')]
      assert.equal(asks({ agent: agent('researcher'), actors: part }).action, 'allow')
    })
  })
})
