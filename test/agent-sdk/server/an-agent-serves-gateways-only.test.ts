/** Nobody bypasses the gateway: an agent's server refuses other agents, unless its author said otherwise. */
import assert from 'node:assert/strict'
import type { ServeOptions, Serving } from '@clawmesh/agent-sdk'
import { channelCredentials } from '@clawmesh/agent-sdk/calls'
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import { type MeshError, uuidV7 } from '@clawmesh/proto'
import { loadProto } from '@clawmesh/proto/wire'
import { Client, credentials, type Client as GrpcClient, Metadata } from '@grpc/grpc-js'
import { methods } from '../../../agent-sdk/src/client/methods.ts'
import { statusToError } from '../../../agent-sdk/src/wire/status-codec.ts'
import { runGrpcClient } from '../../support/grpc-client.ts'
import { argumentsOf, needGrpcurl, run } from '../../support/grpcurl.ts'
import { type StandInMesh, startStandInMesh } from '../stand-in/mesh.ts'

describe('an agent serves gateways only', () => {
  let mesh: StandInMesh
  let direct: IdentityStore
  let gateway: IdentityStore
  const servings: Serving[] = []
  const clients: GrpcClient[] = []

  before(async () => {
    mesh = await startStandInMesh()
    direct = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent: 'c' }))
    gateway = await mesh.ca.open(`${mesh.ca.dir}/gateway-gw`)
  })
  after(async () => {
    for (const client of clients) client.close()
    await Promise.all(servings.map((serving) => serving.close()))
    await mesh.close()
  })

  const serve = async (options: Partial<ServeOptions> = {}) => {
    const skills = { who: (task: { caller: { id: string } }) => task.caller.id }
    const serving = await mesh.b.serve({ skills, listen: '127.0.0.1:0', ...options })
    servings.push(serving)
    return serving
  }
  const clientOf = (store: IdentityStore, { address }: Serving) => {
    const options = { spiffe: mesh.ca.spiffe, expect: () => {} }
    const client = new Client(`127.0.0.1:${address.port}`, channelCredentials(store, options), {
      'grpc.use_local_subchannel_pool': 1,
    })
    clients.push(client)
    return client
  }
  const delegate = async (client: GrpcClient, metadata: Record<string, string> = {}) => {
    const headers = new Metadata()
    for (const [key, value] of Object.entries(metadata)) headers.set(key, value)
    const { path, serialize, deserialize } = methods.delegate
    const request = {
      ...{ delegation_id: uuidV7(), skill: 'who', input: [], idempotency_key: '' },
      ...{ task_deadline: null, detached: false, labels: {} },
    }
    const call = client.makeServerStreamRequest(path, serialize, deserialize, request, headers)
    try {
      for await (const event of call) if (event.result) return event.result.output[0]?.text
      return undefined
    } catch (error) {
      throw statusToError(error)
    }
  }
  const a = 'spiffe://mesh.internal/tenant/acme/agent/a'

  it('a gateway names the caller', async () => {
    const client = clientOf(gateway, await serve())
    assert.equal(await delegate(client, { 'x-mesh-caller': a }), a)
  })

  it('a gateway that names no caller, or another gateway, gets no task', async () => {
    const client = clientOf(gateway, await serve())
    for (const metadata of [
      {},
      { 'x-mesh-caller': 'nonsense' },
      { 'x-mesh-caller': 'spiffe://mesh.internal/gateway/gw' },
    ])
      await assert.rejects(delegate(client, metadata), { code: 'MESH_IDENTITY_NOT_AGENT' })
  })

  it('another agent is refused, whatever its metadata says', async () => {
    const client = clientOf(direct, await serve())
    await assert.rejects(delegate(client, { 'x-mesh-caller': a }), (error: MeshError) => {
      assert.equal(error.code, 'MESH_IDENTITY_NOT_GATEWAY')
      assert.match(error.message, /agent\/c/)
      return true
    })
  })

  it('with acceptFrom mesh, or in its list, it is taken for what its certificate says', async () => {
    for (const acceptFrom of [
      'mesh',
      ['acme/c'],
      ['spiffe://mesh.internal/tenant/acme/agent/c'],
    ] as const) {
      const client = clientOf(direct, await serve({ acceptFrom }))
      assert.equal(
        await delegate(client, { 'x-mesh-caller': a }),
        'spiffe://mesh.internal/tenant/acme/agent/c',
      )
    }
    await assert.rejects(delegate(clientOf(direct, await serve({ acceptFrom: ['acme/d'] }))), {
      code: 'MESH_IDENTITY_NOT_GATEWAY',
    })
  })

  it('the SDK takes a server that is an agent for no gateway, and says so soon', async () => {
    const serving = await serve({ acceptFrom: 'mesh' })
    const fooled = await mesh.agent('d', { gateway: `127.0.0.1:${serving.address.port}` })
    await assert.rejects(fooled.delegate('b', { skill: 'who' }).result(), {
      code: 'MESH_GATEWAY_UNTRUSTED',
    })
    await assert.rejects(fooled.whoAmI(), { code: 'MESH_GATEWAY_UNTRUSTED' })
  })

  it('plain text and TLS without a certificate get nothing', async () => {
    const { address } = await serve()
    const client = new Client(`127.0.0.1:${address.port}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    })
    clients.push(client)
    await assert.rejects(delegate(client))
  })

  // grpcurl is the client that people use; the client of Node takes its place in other tests, where a machine lacks it
  for (const kind of ['grpcurl', 'a client of Node'] as const)
    it(`health and reflection answer too, so that ${kind} can list, describe and call`, async function () {
      if (kind === 'grpcurl') needGrpcurl(this)
      const { address } = await serve()
      const dir = `${mesh.ca.dir}/gateway-gw`
      const at = ['-authority', 'b.acme.mesh.internal', `127.0.0.1:${address.port}`]
      const ask = (...args: string[]) => {
        const all = argumentsOf({ identity: dir, args })
        return kind === 'grpcurl' ? run('grpcurl', all) : runGrpcClient(all)
      }
      const listed = await ask(...at, 'list')
      assert.deepEqual(listed.stdout.trim().split('\n'), [
        'clawmesh.delegation.v1.DelegationService',
        'grpc.health.v1.Health',
      ])
      const described = await ask(...at, 'describe', 'clawmesh.delegation.v1.DelegateRequest')
      assert.match(described.stdout, /string idempotency_key = 4;/)
      const health = await ask(...at, 'grpc.health.v1.Health/Check')
      assert.match(health.stdout, /"status": "SERVING"/)
      const request = JSON.stringify({ delegation_id: uuidV7(), skill: 'who' })
      const caller = ['-H', `x-mesh-caller: ${a}`, '-d', request]
      const service = 'clawmesh.delegation.v1.DelegationService'
      const answer = await ask(...caller, ...at, `${service}/Delegate`)
      assert.match(answer.stdout, /"text": "spiffe:/)
      const refused = await ask(...at, `${service}/Get`)
      assert.notEqual(refused.code, 0)
      assert.match(refused.stderr, /Code: PermissionDenied/)
      assert.match(refused.stderr, /MESH_IDENTITY_NOT_AGENT/)
      const missing = await ask(...at, 'describe', 'clawmesh.delegation.v1.Nothing')
      assert.notEqual(missing.code, 0)
      assert.match(missing.stderr, /not found/)
    })

  it('serves gRPC services of the author beside the skills', async () => {
    const definition = loadProto('clawmesh/mesh/v1/mesh.proto')
    const entry = definition['clawmesh.mesh.v1.MeshService']
    assert.ok(entry !== undefined && !('format' in entry))
    const serving = await serve({
      additionalServices: [
        {
          service: entry as never,
          definition,
          implementation: {
            WhoAmI: (call: { metadata: Metadata }, answer: (error: null, value: object) => void) =>
              answer(null, { spiffe_id: String(call.metadata.get('x-mesh-caller')[0]) }),
          },
        },
      ],
    })
    const client = clientOf(gateway, serving)
    const headers = new Metadata()
    headers.set('x-mesh-caller', a)
    const { path, serialize, deserialize } = methods.whoAmI
    const said = await new Promise<string | undefined>((resolve, reject) => {
      client.makeUnaryRequest(path, serialize, deserialize, {}, headers, (error, value) =>
        error === null ? resolve(value?.spiffe_id) : reject(error),
      )
    })
    assert.equal(said, a)
  })

  it('a port that is taken is one clear sentence', async () => {
    const { address } = await serve()
    await assert.rejects(serve({ listen: `127.0.0.1:${address.port}` }), {
      code: 'MESH_CONFIG_PORT',
      message: `cannot listen on 127.0.0.1:${address.port}`,
    })
    await assert.rejects(serve({ listen: 'nonsense' }), TypeError)
  })

  it('close lets running tasks end, takes no new ones, and cancels what takes too long', async () => {
    let release = () => {}
    const waits = () =>
      new Promise<string>((resolve) => {
        release = () => resolve('done')
      })
    const forever = () => new Promise<string>(() => {})
    const late = await mesh.agent('e', { patience: { startGiveUpMs: 1 } })
    // it has its connection before the server begins to drain
    await late.whoAmI()
    const serving = await mesh.serve({ skills: { waits, forever }, drainMs: 1_500 })
    const [first, second] = ['waits', 'forever'].map((skill) => mesh.a.delegate('b', { skill }))
    assert.ok(first !== undefined && second !== undefined)
    for await (const event of first) if (event.kind === 'status') break
    for await (const event of second) if (event.kind === 'status') break
    const closed = serving.close()
    await assert.rejects(late.delegate('b', { skill: 'waits' }).result(), {
      code: 'MESH_PEER_DRAINING',
    })
    release()
    assert.equal((await first.result()).text(), 'done')
    await assert.rejects(second.result(), { code: 'MESH_TASK_CANCELED', message: /shutting down/ })
    await closed
  })
})
