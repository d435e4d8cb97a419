import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import { decodeStatusDetails } from '@clawmesh/proto/wire'
import { errorTrailers } from '../../../mesh-gateway/src/delegation/error-trailers.ts'

describe('an error of the gateway in trailers', () => {
  it('says its status, its words, its details and its code, by the id of the request', () => {
    const error = new MeshError('MESH_POLICY_NOT_ALLOWED', 'no', { hint: 'ask' })
    const trailers = errorTrailers(error, 'request')
    assert.deepEqual(
      [trailers['grpc-status'], trailers['x-request-id'], trailers['x-mesh-refusal']],
      ['7', 'request', 'MESH_POLICY_NOT_ALLOWED'],
    )
    const details = trailers['grpc-status-details-bin'] ?? ''
    assert.match(details, /^[A-Za-z0-9+/]+$/, 'without padding, as gRPC sends it')
    const decoded = decodeStatusDetails(Buffer.from(details, 'base64'))
    assert.deepEqual([decoded?.code, decoded?.hint], ['MESH_POLICY_NOT_ALLOWED', 'ask'])
    assert.match(decodeURIComponent(trailers['grpc-message'] ?? ''), /no/)
  })

  it('has words of printable ASCII, all else as percent and two digits', () => {
    const said = (words: string) =>
      errorTrailers(new MeshError('MESH_PEER_PROTOCOL', words), 'r')['grpc-message'] ?? ''
    assert.ok(said(' a~').includes(' a~'))
    assert.ok(said('50%').includes('50%25'))
    assert.ok(said('ä').includes('%C3%A4'))
    for (const words of ['\u007f', 'a\ud800b', '\u2028'])
      assert.match(said(words), /^[\x20-\x7e]*$/)
  })
})
