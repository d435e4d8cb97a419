import assert from 'node:assert/strict'
import { createSpiffeTemplate, MeshError } from '@clawmesh/proto'
import {
  type ExplainRequest,
  explainTo,
} from '../../../../mesh-gateway/src/delegation/own-services/explain.ts'
import { policyOf } from '../../policy/policies.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const planner = spiffe.agent('acme', 'planner')
const gateway = spiffe.gateway('gw-1')
const policy = policyOf({
  acme: {
    delegation: {
      allow: [
        { from: 'planner', to: 'researcher', methods: ['a.B/*'] },
        { from: 'planner', to: 'globex/translator' },
      ],
      agents: { worker: { mayOriginate: false } },
    },
    egress: {
      allow: [
        'api.github.com',
        '*.example.com:80',
        { host: 'api.slack.com', methods: ['GET'] },
        { host: '*.pages.test', paths: ['/docs/**'] },
        { host: 'gist.github.com', methods: ['GET'] },
      ],
      deny: ['gist.github.com'],
      agents: { writer: { allow: [{ host: 'api.writer.test', methods: ['POST'] }] } },
    },
  },
  globex: { delegation: { accept: [{ from: 'acme/planner', to: 'translator' }] } },
})

describe('MeshService.Explain', () => {
  const ask = (
    request: Partial<ExplainRequest>,
    asker: typeof planner | typeof gateway = planner,
  ) =>
    explainTo(
      asker,
      { from: '', to: 'researcher', method: '', within_chain: false, host: '', ...request },
      { policy, meshDomain: 'mesh.internal' },
    )
  const code = (request: Partial<ExplainRequest>, asker?: typeof gateway) => {
    try {
      return ask(request, asker).code
    } catch (error) {
      assert.ok(error instanceof MeshError)
      return error.code
    }
  }

  it('says which rule allows a call, in which file, of which generation', () => {
    const said = ask({ method: 'a.B/Get' })
    assert.deepEqual(said, {
      action: 'allow',
      code: '',
      reason: '',
      rule: 'acme.json#/delegation/allow/0',
      file: 'acme.json',
      hint: '',
      mode: 'enforce',
      generation: policy.generation,
      some_requests: false,
    })
  })

  it('asks about Delegate of the one who asks when nothing else is said', () => {
    const said = ask({})
    assert.equal(said.action, 'deny')
    assert.equal(said.code, 'MESH_POLICY_NOT_ALLOWED')
    assert.equal(said.file, 'acme.json')
    assert.match(said.hint, /names methods a\.B\/\* only, not .*DelegationService\/Delegate/)
    assert.equal(ask({ to: 'globex/translator' }).action, 'allow')
  })

  it('takes a name in each form, and a method with or without its slash', () => {
    for (const to of ['researcher', 'acme/researcher', 'Researcher.acme.mesh.internal'])
      for (const method of ['a.B/Get', '/a.B/Get'])
        assert.equal(ask({ to, method }).action, 'allow', `${to} ${method}`)
  })

  it('judges a call within a chain as such', () => {
    const from = 'worker'
    assert.equal(code({ from }), 'MESH_POLICY_MAY_NOT_ORIGINATE')
    assert.equal(code({ from, within_chain: true }), 'MESH_POLICY_NOT_ALLOWED')
  })

  it('tells an agent of calls of its own tenant only, and a gateway of any', () => {
    assert.equal(code({ from: 'acme/writer' }), 'MESH_POLICY_NOT_ALLOWED')
    const foreign = { from: 'globex/translator', to: 'acme/planner' }
    assert.equal(code(foreign), 'MESH_EXPLAIN_FOREIGN')
    assert.equal(code({ from: 'nobody.umbrella.mesh.internal' }), 'MESH_EXPLAIN_FOREIGN')
    assert.equal(code(foreign, gateway), 'MESH_POLICY_NOT_ALLOWED')
    assert.equal(code({ ...foreign, from: 'umbrella/x' }, gateway), 'MESH_POLICY_NO_TENANT')
  })

  it('refuses what names nobody, and who asks without naming', () => {
    const wrong = ['', 'a/b/c', '*', 'acme/*', '../x', 'researcher.acme.evil.test', 'a b', 'acme/']
    for (const to of wrong) assert.equal(code({ to }), 'MESH_EXPLAIN_INVALID', to)
    for (const method of ['Get', 'a.B/', 'a.B/*', 'a.B/Get/x', `a.${'B'.repeat(600)}/Get`])
      assert.equal(code({ method }), 'MESH_EXPLAIN_INVALID', method)
    assert.equal(code({ to: 'acme/researcher' }, gateway), 'MESH_EXPLAIN_INVALID')
    assert.equal(code({ from: 'acme/planner' }, gateway), 'MESH_EXPLAIN_INVALID')
  })

  it('tells an agent what policy says of a host, as of a tunnel', () => {
    const host = (name: string) => ask({ to: '', host: name })
    assert.equal(host('api.github.com').rule, 'acme.json#/egress/allow/0')
    assert.equal(host('API.github.com:443').action, 'allow')
    assert.equal(host('a.example.com:80').action, 'allow')
    const refused = host('github.com')
    assert.deepEqual([refused.action, refused.code], ['deny', 'MESH_POLICY_NOT_ALLOWED'])
    assert.match(refused.hint, /github\.com/)
    assert.equal(host('gist.github.com').code, 'MESH_POLICY_DENIED')
    assert.equal(host('a.example.com').code, 'MESH_POLICY_NOT_ALLOWED')
  })

  it('tells an agent of a host that is allowed for certain methods or paths only', () => {
    const host = (name: string, asker = planner) => {
      const { action, some_requests: some } = ask({ to: '', host: name }, asker)
      return `${action}${some ? ', some requests' : ''}`
    }
    assert.equal(host('api.slack.com'), 'deny, some requests')
    assert.match(ask({ to: '', host: 'api.slack.com' }).hint, /names methods GET/)
    assert.equal(host('a.pages.test'), 'deny, some requests')
    assert.equal(host('api.github.com'), 'allow')
    for (const none of ['github.com', 'api.slack.com:8443', 'pages.test', 'gist.github.com'])
      assert.equal(host(none), 'deny', none)
    assert.equal(host('api.writer.test'), 'deny')
    assert.equal(host('api.writer.test', spiffe.agent('acme', 'writer')), 'deny, some requests')
    assert.equal(host('api.slack.com', spiffe.agent('acme', 'worker')), 'deny')
  })

  it('tells of hosts to the agent itself and to nobody else', () => {
    const host = 'api.github.com'
    for (const wrong of [
      { host },
      { to: '', host, from: 'acme/writer' },
      { to: '', host, method: 'a.B/C' },
    ])
      assert.equal(code(wrong), 'MESH_EXPLAIN_INVALID')
    assert.equal(code({ to: '', host }, gateway), 'MESH_EXPLAIN_INVALID')
    for (const name of ['*.github.com', 'https://api.github.com/', 'a b', '127.1', '[::1'])
      assert.equal(code({ to: '', host: name }), 'MESH_EXPLAIN_INVALID', name)
  })
})
