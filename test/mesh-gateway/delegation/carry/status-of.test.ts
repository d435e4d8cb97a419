import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import {
  asMeshError,
  isLost,
  statusOfHttp,
} from '../../../../mesh-gateway/src/delegation/carry/status-of.ts'

describe('what a failure of a peer means', () => {
  it('as HTTP: by the mapping of gRPC', () => {
    const codes: Record<string, readonly number[]> = {
      MESH_PEER_PROTOCOL: [200, 400, 600, 99, 0, Number.NaN],
      MESH_PEER_UNAUTHENTICATED: [401],
      MESH_PEER_FORBIDDEN: [403],
      MESH_PEER_UNIMPLEMENTED: [404],
      MESH_PEER_LOST: [429, 502, 503, 504],
      MESH_PEER_NOT_GRPC: [100, 302, 402, 418, 500, 501, 505, 599],
    }
    for (const [code, statuses] of Object.entries(codes))
      for (const status of statuses) assert.equal(statusOfHttp(status), code, String(status))
  })

  it('as an error inside: its own, or a fault of the gateway’s', () => {
    const own = new MeshError('MESH_PEER_LOST')
    assert.equal(asMeshError(own), own)
    const fault = new TypeError('x')
    const shown = asMeshError(fault)
    assert.deepEqual([shown.code, shown.cause], ['MESH_GATEWAY_INTERNAL', fault])
    assert.equal(isLost(own), true)
    assert.equal(isLost(new MeshError('MESH_PEER_PROTOCOL')), false)
    assert.equal(isLost({ code: 'MESH_PEER_LOST' }), false)
  })
})
