import assert from 'node:assert/strict'
import { createAgent } from '@clawmesh/agent-sdk'
import { readConfig } from '@clawmesh/gateway'
import { createSpiffeTemplate, MeshError, spiffeTemplateFaults } from '@clawmesh/proto'

type Paths = { readonly agentPath?: string; readonly gatewayPath?: string }

describe('templates of SPIFFE IDs', () => {
  const make = (paths: Paths = {}) =>
    createSpiffeTemplate({ trustDomain: 'mesh.internal', ...paths })
  const optionOf = (paths: Paths) => spiffeTemplateFaults(paths).map(({ option }) => option)

  it('read what they write, for agents and gateways', () => {
    for (const paths of [
      {},
      { agentPath: '/ns/{tenant}/sa/{agent}' },
      { agentPath: '/{tenant}/{agent}', gatewayPath: '/mesh/gateways/{name}' },
      { agentPath: '/{agent}/of/{tenant}', gatewayPath: '/{name}' },
    ]) {
      const template = make(paths)
      const agent = template.agent('acme', 'planner')
      assert.deepEqual(template.parse(agent.id), agent)
      const gateway = template.gateway('gw')
      assert.deepEqual(template.parse(gateway.id), gateway)
    }
  })

  it('take no path that is longer, shorter, empty in a segment or of another trust domain', () => {
    const template = make()
    for (const path of [
      '/tenant/acme/agent/planner/',
      '/tenant/acme/agent/planner/x',
      '//tenant/acme/agent/planner',
      '/tenant//agent/planner',
      '/tenant/acme/agent/Planner',
      '/tenant/acme/agent/..',
      '/tenant/acme/agent/planner?x',
      '/gateway/gw/',
      '/',
    ])
      assert.equal(template.parse(`spiffe://mesh.internal${path}`), null, path)
    assert.equal(template.parse('spiffe://other/tenant/acme/agent/planner'), null)
  })

  it('fill a hole with a whole segment: parts of one could be cut in two ways', () => {
    for (const agentPath of [
      '/{tenant}-{agent}',
      '/{tenant}.{agent}',
      '/a/{tenant}/agent-{agent}',
      '/{tenant}/{agent}{agent}',
      '/tenant/{tenant}',
      '/{tenant}/{tenant}/{agent}',
      '/{tenant}/{agent}/{name}',
      '/{tenant}/{agent}/',
      '/x//{tenant}/{agent}',
      '/../{tenant}/{agent}',
      '{tenant}/{agent}',
      '',
    ]) {
      assert.deepEqual(optionOf({ agentPath }), ['agentPath'], agentPath)
      assert.throws(() => make({ agentPath }), /^TypeError: agentPath: must/)
    }
    for (const gatewayPath of [
      '/gw-{name}',
      '/gateway',
      '/{tenant}/{name}',
      '/gateway/{name}/{name}',
    ])
      assert.deepEqual(optionOf({ gatewayPath }), ['gatewayPath'], gatewayPath)
  })

  it('never let one path name an agent and a gateway', () => {
    assert.deepEqual(optionOf({ agentPath: '/{tenant}/{agent}' }), ['agentPath'])
    for (const [agentPath, gatewayPath] of [
      ['/ns/{tenant}/sa/{agent}', '/ns/mesh-system/sa/{name}'],
      ['/{tenant}/{agent}', '/gateway/{name}'],
      ['/agents/{tenant}/{agent}', '/agents/gateways/{name}'],
      ['/{agent}/x/{tenant}', '/{name}/x/y'],
    ] as const)
      assert.deepEqual(optionOf({ agentPath, gatewayPath: `${gatewayPath}` }).length, 1, agentPath)
    // a fixed segment that is no DNS label fills no hole
    assert.deepEqual(
      optionOf({ agentPath: '/{tenant}/{agent}', gatewayPath: '/Gateway/{name}' }),
      [],
    )
    assert.deepEqual(
      optionOf({ agentPath: '/ns/{tenant}/sa/{agent}', gatewayPath: '/gw/{name}' }),
      [],
    )
  })

  it('are refused by the configuration with their keys, both at once, and by the SDK', async () => {
    const config = async (agentPath: string, gatewayPath?: string) => {
      const paths = { 'spiffe-agent-path': agentPath }
      const flags =
        gatewayPath === undefined ? paths : { ...paths, 'spiffe-gateway-path': gatewayPath }
      const read = readConfig({ path: null, env: {}, flags, cwd: '/' })
      return read.then(
        () => '',
        (error) => (error instanceof MeshError ? error.message : String(error)),
      )
    }
    const both = await config('/{tenant}-{agent}', '/gw-{name}')
    assert.match(both, /spiffe\.agentPath/)
    assert.match(both, /spiffe\.gatewayPath/)
    assert.match(await config('/{tenant}/{agent}'), /spiffe\.agentPath.*one path could/)
    assert.doesNotMatch(await config('/{tenant}/{agent}', '/mesh/gateways/{name}'), /spiffe/)
    await assert.rejects(
      createAgent({
        ...{ gateway: '127.0.0.1:1', identity: '/nowhere' },
        spiffe: { agentPath: '/{tenant}/{agent}' },
      }),
      { name: 'TypeError', message: /^spiffe\.agentPath: one path could/ },
    )
  })
})
