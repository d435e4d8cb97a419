import assert from 'node:assert/strict'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeIdentity } from '@clawmesh/pki'
import { describeClosing } from '../support/closes-everything.ts'
import { grpcurl, hasGrpcurl } from '../support/grpcurl.ts'
import { type Mesh, makeCa, startMesh } from '../support/mesh.ts'

const DELEGATION = 'clawmesh.delegation.v1.DelegationService'
const MESH = 'clawmesh.mesh.v1.MeshService'
const PEER = 'researcher.acme.mesh.internal'
const GATEWAY = 'gateway.mesh.internal'
const proto = fileURLToPath(new URL('../../proto', import.meta.url))

describeClosing('grpcurl sees what an agent sees', () => {
  let mesh: Mesh
  let planner: string
  let researcher: string

  before(async function () {
    this.timeout(120_000)
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: 'planner', to: 'researcher' }] } } },
    })
    planner = await mesh.identity('acme', 'planner')
    const { serving } = await mesh.serve('acme', 'researcher', {
      skills: { echo: (task) => task.text() },
    })
    researcher = `127.0.0.1:${serving.address.port}`
  })
  after(() => mesh?.close())

  const call = (...args: string[]) => grpcurl({ identity: planner, args })

  const ways: Record<string, () => string[]> = {
    'by -authority': () => ['-authority', PEER, mesh.gateway.delegation],
    'by x-mesh-target': () => [
      ...['-authority', GATEWAY, '-H', `x-mesh-target: ${PEER}`],
      mesh.gateway.delegation,
    ],
  }
  for (const [way, to] of Object.entries(ways))
    describe(`a peer, named ${way}`, () => {
      it('lists its services', async () => {
        const { code, stdout, stderr } = await call(...to(), 'list')
        assert.equal(code, 0, stderr)
        const services = stdout.trim().split('\n')
        assert.ok(services.includes(DELEGATION), stdout)
        assert.ok(services.includes('grpc.health.v1.Health'), stdout)
        assert.ok(!services.includes(MESH), 'the gateway’s own services are not the peer’s')
      })

      it('describes them', async () => {
        const { code, stdout, stderr } = await call(...to(), 'describe', `${DELEGATION}.Delegate`)
        assert.equal(code, 0, stderr)
        assert.match(stdout, /rpc Delegate \( \.clawmesh\.delegation\.v1\.DelegateRequest \)/)
      })

      it('takes calls, streamed answers included', async () => {
        const id = `01890000-0000-7000-8000-00000000000${way.length % 10}`
        const input = { delegation_id: id, skill: 'echo', input: [{ text: 'hello' }] }
        const data = ['-d', JSON.stringify(input)]
        const { code, stdout, stderr } = await call(...data, ...to(), `${DELEGATION}/Delegate`)
        assert.equal(code, 0, stderr)
        assert.match(stdout, /"accepted"/)
        assert.match(stdout, /"result": \{\s+"output": \[\s+\{\s+"text": "hello"/)
      })

      it('is healthy', async () => {
        const { stdout, stderr } = await call(...to(), 'grpc.health.v1.Health/Check')
        assert.match(stdout, /"status": "SERVING"/, stderr)
      })
    })

  describe('the gateway itself', () => {
    const to = () => ['-authority', GATEWAY, mesh.gateway.delegation]

    it('lists its services', async () => {
      const { stdout, stderr } = await call(...to(), 'list')
      const services = stdout.trim().split('\n')
      assert.ok(services.includes(MESH), stdout + stderr)
      assert.ok(!services.includes(DELEGATION))
    })

    it('describes them', async () => {
      const { stdout } = await call(...to(), 'describe', MESH)
      assert.match(stdout, /rpc WhoAmI/)
      assert.match(stdout, /rpc ExchangeToken/)
    })

    it('says who calls, and whom it may call', async () => {
      const who = await call(...to(), `${MESH}/WhoAmI`)
      assert.match(
        who.stdout,
        /spiffe:\/\/mesh\.internal\/tenant\/acme\/agent\/planner/,
        who.stderr,
      )
      const peers = await call(...to(), `${MESH}/ListPeers`)
      assert.match(peers.stdout, new RegExp(PEER.replaceAll('.', '\\.')))
    })
  })

  describe('who may not call is told why', () => {
    // with the .proto files at hand grpcurl calls at once, and shows all that it is told
    const check = [
      ...['-import-path', proto, '-proto', 'grpc/health/v1/health.proto'],
      ...['-proto', 'google/rpc/error_details.proto'],
    ]
    const CHECK = 'grpc.health.v1.Health/Check'

    it('without a certificate', async () => {
      const { code, stderr } = await grpcurl({
        identity: null,
        trust: planner,
        args: [...check, '-authority', PEER, mesh.gateway.delegation, CHECK],
      })
      assert.notEqual(code, 0)
      assert.match(stderr, /no client certificate of this mesh was presented/)
      assert.match(stderr, /MESH_IDENTITY_NO_CERTIFICATE/)
    })

    it('with a certificate of another CA', async () => {
      const other = await makeCa(join(mesh.dir, 'other-ca'))
      const stranger = join(mesh.dir, 'stranger')
      await writeIdentity(stranger, other.issueAgent({ tenant: 'acme', agent: 'planner' }))
      const { code, stderr } = await grpcurl({
        identity: stranger,
        trust: planner,
        args: [...check, '-authority', PEER, mesh.gateway.delegation, CHECK],
      })
      assert.notEqual(code, 0)
      // the gateway names the CAs it trusts, and a client of Go then keeps the certificate of another to itself
      assert.match(stderr, /Code: Unauthenticated/)
      assert.match(
        stderr,
        hasGrpcurl() ? /MESH_IDENTITY_NO_CERTIFICATE/ : /MESH_IDENTITY_UNTRUSTED/,
      )
    })

    it('with a certificate that policy does not name', async () => {
      const { code, stderr } = await grpcurl({
        identity: await mesh.identity('acme', 'intruder'),
        args: [...check, '-authority', PEER, mesh.gateway.delegation, CHECK],
      })
      assert.notEqual(code, 0)
      assert.match(stderr, /PermissionDenied/)
      assert.match(stderr, /MESH_POLICY_NOT_ALLOWED/)
    })

    it('to a peer past the gateway', async () => {
      const { code, stderr } = await call(...check, ...['-authority', PEER, researcher, CHECK])
      assert.notEqual(code, 0)
      assert.match(stderr, /not a gateway/)
    })

    it('to a peer that does not exist', async () => {
      const { stderr } = await call(
        ...check,
        ...['-authority', 'nobody.acme.mesh.internal', mesh.gateway.delegation, CHECK],
      )
      assert.match(stderr, /MESH_POLICY_NOT_ALLOWED/, 'what policy refuses is not looked up')
    })

    it('and each of it is an audit line', async () => {
      const strangers = await mesh.auditLine(
        'the stranger',
        ({ reason }) => reason === 'MESH_IDENTITY_NO_CERTIFICATE',
      )
      assert.equal(strangers.action_allowed, false)
      assert.equal(strangers.caller, null)
      const refused = await mesh.auditLine(
        'the intruder',
        (record) => record.agent_id === 'intruder' && record.reason === 'MESH_POLICY_NOT_ALLOWED',
      )
      assert.equal(refused.action_allowed, false)
      assert.equal(refused.grpc_method, CHECK)
    })
  })
})
