import assert from 'node:assert/strict'
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import { loadProto, messageOf } from '@clawmesh/proto/wire'
import { call, type Fixture, frame, GATEWAY, makeFixture } from './fixture.ts'

const mesh = loadProto('clawmesh/mesh/v1/mesh.proto', 'grpc/health/v1/health.proto')

function decode<T extends object>(body: Buffer, message: string): T {
  return messageOf<T>(mesh, message).deserialize(body.subarray(5))
}

describe('the services of the gateway itself', () => {
  let fixture: Fixture
  let planner: IdentityStore
  const empty = frame(Buffer.alloc(0))

  before(async () => {
    fixture = await makeFixture({
      tenant: 'acme',
      delegation: {
        allow: [
          { from: 'planner', to: 'researcher', methods: ['a.B/*'] },
          { from: 'writer', to: '*' },
        ],
      },
    })
    planner = await fixture.ca.open(await fixture.ca.agentDir({ tenant: 'acme', agent: 'planner' }))
  })
  after(() => fixture.close())

  const ask = async (path: string, headers: Record<string, string> = {}, body = empty) =>
    call(await fixture.connect(planner), { ':path': path, ':authority': GATEWAY, ...headers }, body)

  it('tell a caller who its certificate says it is, whatever it claims', async () => {
    const answer = await ask('/clawmesh.mesh.v1.MeshService/WhoAmI', {
      'x-mesh-caller': 'spiffe://mesh.internal/tenant/globex/agent/root',
      'x-mesh-caller-fingerprint': 'forged',
    })
    assert.equal(answer.status, 0, answer.message)
    const who = decode<Record<string, unknown>>(answer.body, 'clawmesh.mesh.v1.WhoAmIResponse')
    assert.equal(who.spiffe_id, 'spiffe://mesh.internal/tenant/acme/agent/planner')
    assert.equal(who.tenant, 'acme')
    assert.equal(who.agent, 'planner')
    assert.equal(who.certificate_fingerprint, planner.current().fingerprint)
    assert.equal(who.gateway, 'spiffe://mesh.internal/gateway/gw-1')
  })

  it('list the peers that policy lets the caller reach, and no others', async () => {
    const answer = await ask('/clawmesh.mesh.v1.MeshService/ListPeers')
    const { peers } = decode<{ peers: { name: string; methods: string[] }[] }>(
      answer.body,
      'clawmesh.mesh.v1.ListPeersResponse',
    )
    assert.deepEqual(
      peers.map(({ name, methods }) => ({ name, methods })),
      [{ name: 'researcher.acme.mesh.internal', methods: ['a.B/*'] }],
    )
  })

  it('have in the audit record what they were asked about, as it was asked and cut to size', async () => {
    const question = (request: object) =>
      frame(
        Buffer.from(
          messageOf(mesh, 'clawmesh.mesh.v1.ExplainRequest').serialize({
            ...{ from: '', to: '', method: '', within_chain: false },
            ...request,
          }),
        ),
      )
    const recorded = async (method: string, body?: Buffer) => {
      const written = fixture.nextRecord()
      await ask(`/clawmesh.mesh.v1.MeshService/${method}`, {}, body)
      const { asked_from, asked_to, asked_method } = await written
      return [asked_from, asked_to, asked_method]
    }
    assert.deepEqual(
      await recorded('Explain', question({ to: 'globex/translator', method: 'a.B/C' })),
      [null, 'globex/translator', 'a.B/C'],
    )
    assert.deepEqual(
      await recorded('Explain', question({ from: 'globex/cfo', to: 'x'.repeat(9_000) })),
      ['globex/cfo', 'x'.repeat(256), null],
    )
    assert.deepEqual(await recorded('ListPeers'), ['acme/planner', null, null])
    assert.deepEqual(await recorded('WhoAmI'), [null, null, null])
  })

  it('give an agent an egress token for its certificate', async () => {
    const answer = await ask('/clawmesh.mesh.v1.MeshService/ExchangeToken')
    const { token } = decode<{ token: string }>(
      answer.body,
      'clawmesh.mesh.v1.ExchangeTokenResponse',
    )
    assert.equal(token, 'a-token')
  })

  it('bind an egress token to the certificate of the connection when asked to', async () => {
    const bind = Buffer.from([0x10, 1])
    const answer = await ask('/clawmesh.mesh.v1.MeshService/ExchangeToken', {}, frame(bind))
    const { token } = decode<{ token: string }>(
      answer.body,
      'clawmesh.mesh.v1.ExchangeTokenResponse',
    )
    const thumbprint = Buffer.from(planner.current().fingerprint, 'hex').toString('base64url')
    assert.equal(token, `bound to ${thumbprint}`)
  })

  it('answer health, by the name of the gateway and by localhost', async () => {
    for (const authority of [GATEWAY, 'localhost:8443', 'gw-1.mesh.internal']) {
      const answer = await ask('/grpc.health.v1.Health/Check', { ':authority': authority })
      const health = decode<{ status: string }>(answer.body, 'grpc.health.v1.HealthCheckResponse')
      assert.equal(health.status, 'SERVING', authority)
    }
  })

  it('are audited like any call', async () => {
    const record = fixture.nextRecord()
    await ask('/clawmesh.mesh.v1.MeshService/WhoAmI')
    const audited = await record
    assert.equal(audited.callee, 'spiffe://mesh.internal/gateway/gw-1')
    assert.equal(audited.grpc_method, 'clawmesh.mesh.v1.MeshService/WhoAmI')
    assert.equal(audited.action_allowed, true)
  })

  it('refuse methods they do not have, garbage, and messages larger than they take', async () => {
    assert.equal((await ask('/clawmesh.mesh.v1.MeshService/Nothing')).status, 12)
    const garbage = await ask(
      '/clawmesh.mesh.v1.MeshService/WhoAmI',
      {},
      Buffer.from([9, 255, 255, 255, 255, 1]),
    )
    assert.notEqual(garbage.status, 0)
    const large = await ask(
      '/clawmesh.mesh.v1.MeshService/ExchangeToken',
      {},
      frame(Buffer.alloc(100_000)),
    )
    assert.equal(large.status, 8)
    assert.equal((await ask('/clawmesh.mesh.v1.MeshService/WhoAmI')).status, 0)
  })

  it('are told apart from peers: a gateway may ask who it is, and may not delegate', async () => {
    const other = await fixture.ca.open(
      await fixture.ca.gatewayDir({ name: 'gw-2', tenants: ['acme'] }),
    )
    const session = await fixture.connect(other)
    const who = await call(
      session,
      { ':path': '/clawmesh.mesh.v1.MeshService/WhoAmI', ':authority': GATEWAY },
      empty,
    )
    assert.equal(who.status, 0)
    const exchange = await call(
      session,
      { ':path': '/clawmesh.mesh.v1.MeshService/ExchangeToken', ':authority': GATEWAY },
      empty,
    )
    assert.equal(exchange.error?.code, 'MESH_IDENTITY_NOT_AGENT')
    const delegated = await call(session, { ':authority': 'researcher.acme.mesh.internal' })
    assert.equal(delegated.error?.code, 'MESH_IDENTITY_NOT_AGENT')
  })
})
