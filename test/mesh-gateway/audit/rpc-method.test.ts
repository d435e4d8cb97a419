import assert from 'node:assert/strict'
import { loadProto } from '@clawmesh/proto/wire'
import { rpcSpan } from '../../../mesh-gateway/src/audit/rpc-method.ts'
import { withImplied } from '../../../mesh-gateway/src/policy/decide/task-methods.ts'

describe('the name of a span', () => {
  const served = () => {
    const definition = loadProto(
      'clawmesh/delegation/v1/delegation.proto',
      'clawmesh/mesh/v1/mesh.proto',
      'grpc/health/v1/health.proto',
      'grpc/reflection/v1/reflection.proto',
    )
    return Object.entries(definition).flatMap(([service, entry]) =>
      'format' in entry ? [] : Object.keys(entry).map((method) => `${service}/${method}`),
    )
  }
  const ofA2a = () =>
    ['lf.a2a.v1.A2AService', 'a2a.v1.A2AService'].flatMap(
      (service) => withImplied([`${service}/SendMessage`, `${service}/SendStreamingMessage`]) ?? [],
    )

  it('is the method, for every method that Clawmesh serves or has rules for', () => {
    const all = [...served(), ...ofA2a()]
    assert.ok(all.length > 20, `${all.length}`)
    for (const method of all) {
      assert.equal(rpcSpan(method).name, method)
      assert.equal(rpcSpan(method).attributes['rpc.method'], method)
    }
  })

  it('is one for all methods that clients make up, which are told beside it', () => {
    for (const method of ['pkg.Own/Do', 'clawmesh.mesh.v1.MeshService/Other', '']) {
      const { name, attributes } = rpcSpan(method)
      assert.deepEqual([name, attributes['rpc.method']], ['grpc', '_OTHER'])
      assert.equal(attributes['rpc.method_original'], method)
    }
    assert.equal(rpcSpan(null).name, 'delegation')
  })
})
