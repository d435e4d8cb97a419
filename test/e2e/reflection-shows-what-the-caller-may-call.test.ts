import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { channelCredentials } from '@clawmesh/agent-sdk/calls'
import { checkIsGateway, openIdentity } from '@clawmesh/agent-sdk/mesh'
import { createSpiffeTemplate } from '@clawmesh/proto'
import { Client, type sendUnaryData } from '@grpc/grpc-js'
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader'
import { describeClosing } from '../support/closes-everything.ts'
import { grpcurl } from '../support/grpcurl.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

const PEER = 'library.acme.mesh.internal'
const PROTO = `
syntax = "proto3";
package a;
message Book { string title = 1; }
// Lends books.
service B { rpc Get(Book) returns (Book); rpc Drop(Book) returns (Book); }
// Nobody is to know of it.
service Vault { rpc Open(Book) returns (Book); }
`
const REFLECTION = ['v1', 'v1alpha'].map((v) => `grpc.reflection.${v}.ServerReflection/*`)
const rule = (from: string, ...methods: string[]) => ({ from, to: 'library', methods })
const allow = [
  rule('planner', 'a.B/Get', ...REFLECTION),
  rule('reader', 'a.B/*', ...REFLECTION),
  rule('blind', 'a.B/*'),
  { from: 'owner', to: 'library' },
]

describeClosing('reflection shows what the caller may call', () => {
  let mesh: Mesh

  before(async function () {
    this.timeout(120_000)
    mesh = await startMesh({ policy: { acme: { delegation: { allow } } } })
    const file = join(mesh.dir, 'library.proto')
    await writeFile(file, PROTO)
    const definition = loadSync(file, { keepCase: true })
    const same = (call: { request: object }, done: sendUnaryData<object>) =>
      done(null, call.request)
    const service = (name: string, ...methods: string[]) => ({
      service: definition[name] as ServiceDefinition,
      implementation: Object.fromEntries(methods.map((method) => [method, same])),
      definition,
    })
    await mesh.serve('acme', 'library', {
      skills: { none: () => '' },
      additionalServices: [service('a.B', 'Get', 'Drop'), service('a.Vault', 'Open')],
    })
  })
  after(() => mesh?.close())

  const as = async (agent: string, ...args: string[]) =>
    grpcurl({ identity: await mesh.identity('acme', agent), args })
  const listed = async (agent: string, ...to: string[]) => {
    const { stdout, stderr } = await as(agent, ...to, mesh.gateway.delegation, 'list')
    assert.equal(stderr, '')
    return stdout.trim().split('\n').sort()
  }
  const describing = (agent: string, symbol: string) =>
    as(agent, '-authority', PEER, mesh.gateway.delegation, 'describe', symbol)

  it('an agent that may call a.B alone sees a.B alone', async () => {
    for (const agent of ['planner', 'reader'])
      assert.deepEqual(await listed(agent, '-authority', PEER), ['a.B'])
    const target = ['-authority', 'gateway.mesh.internal', '-H', `x-mesh-target: ${PEER}`]
    assert.deepEqual(await listed('planner', ...target), ['a.B'])
  })

  it('and of a.B the methods that it may call', async () => {
    const { stdout } = await describing('planner', 'a.B')
    assert.match(stdout, /rpc Get \( \.a\.Book \)/)
    assert.doesNotMatch(stdout, /Drop/)
    assert.match((await describing('reader', 'a.B')).stdout, /rpc Drop/)
  })

  for (const [agent, symbol] of [
    ['planner', 'a.Vault'],
    ['reader', 'a.Vault.Open'],
    ['planner', 'a.B.Drop'],
    ['planner', 'clawmesh.delegation.v1.DelegationService'],
  ] as const)
    it(`${agent} is told that there is no ${symbol}`, async () => {
      const { code, stdout, stderr } = await describing(agent, symbol)
      assert.notEqual(code, 0)
      assert.equal(stdout, '')
      assert.match(stderr, /[Nn]ot found/)
    })

  it('what it sees it can call, by what it was shown', async () => {
    const data = ['-d', '{"title":"Moby-Dick"}', '-authority', PEER]
    const get = await as('planner', ...data, mesh.gateway.delegation, 'a.B/Get')
    assert.match(get.stdout, /"title": "Moby-Dick"/, get.stderr)
    const drop = await as('planner', ...data, mesh.gateway.delegation, 'a.B/Drop')
    assert.notEqual(drop.code, 0)
  })

  it('an agent that may call all sees all, as without a gateway', async () => {
    const all = await listed('owner', '-authority', PEER)
    assert.deepEqual(
      ['a.B', 'a.Vault', 'clawmesh.delegation.v1.DelegationService'].filter(
        (name) => !all.includes(name),
      ),
      [],
    )
    assert.match((await describing('owner', 'a.Vault')).stdout, /rpc Open/)
  })

  it('an agent that may not call reflection is told so, and which rule to change', async () => {
    const { code, stderr } = await as('blind', '-authority', PEER, mesh.gateway.delegation, 'list')
    assert.notEqual(code, 0)
    assert.match(stderr, /no rule of policy allows it/)
    const { reason, rule: none } = await mesh.auditLine(
      'the refusal',
      (record) => record.agent_id === 'blind',
    )
    assert.deepEqual([reason, none], ['MESH_POLICY_NOT_ALLOWED', null])
  })

  it('the gateway shows its own services, which every agent may call', async () => {
    assert.deepEqual(await listed('blind', '-authority', 'gateway.mesh.internal'), [
      'clawmesh.mesh.v1.MeshService',
      'grpc.health.v1.Health',
    ])
  })

  for (const version of ['v1', 'v1alpha'])
    it(`${version}: an open call follows policy as it changes`, async () => {
      const identity = await openIdentity({
        dir: await mesh.identity('acme', 'reader'),
        spiffe: createSpiffeTemplate({ trustDomain: 'mesh.internal' }),
      })
      const proto = fileURLToPath(
        new URL(
          `../proto/grpc/reflection/${version}/reflection.proto`,
          import.meta.resolve('@grpc/reflection'),
        ),
      )
      const definition = loadSync(proto, { keepCase: true, defaults: true, arrays: true })
      const service = definition[`grpc.reflection.${version}.ServerReflection`]
      assert.ok(service !== undefined && !('format' in service))
      const method = (service as ServiceDefinition).ServerReflectionInfo
      assert.ok(method)
      const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
      const client = new Client(
        mesh.gateway.delegation,
        channelCredentials(identity, { spiffe, expect: checkIsGateway }),
      )
      try {
        const call = client.makeBidiStreamRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          { host: PEER },
        )
        const answers = call[Symbol.asyncIterator]()
        const list = async () => {
          call.write({ list_services: '' })
          const { value } = await answers.next()
          const services: { name: string }[] = value.list_services_response.service
          return services.map(({ name }) => name).join()
        }
        assert.equal(await list(), 'a.B')
        const more = [...allow, rule('reader', 'a.Vault/Open')]
        await mesh.setPolicy({ acme: { delegation: { allow: more } } })
        await waitFor('the vault', async () => (await list()) === 'a.B,a.Vault')
        await mesh.setPolicy({ acme: { delegation: { allow } } })
        await waitFor('no vault', async () => (await list()) === 'a.B')
        call.end()
        assert.equal((await answers.next()).done, true)
      } finally {
        client.close()
        await identity.close()
      }
    })
})
