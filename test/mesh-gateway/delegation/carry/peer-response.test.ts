/** What of a callee's answer the caller gets, and what is no answer of gRPC. */
import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import {
  answerHeaders,
  type Caller,
  carriesGrpc,
  endTrailers,
  faultOf,
  MAX_METADATA_BYTES,
  meshHeader,
  readStatus,
  withoutStatus,
} from '../../../../mesh-gateway/src/delegation/carry/peer-response.ts'

const GRPC = ['content-type', 'application/grpc']
const PEER = { certificate: {}, replica: null }
const OWN = { certificate: null, replica: null }
const caller = (maxHeaderListSize?: number): Caller => ({
  session: { remoteSettings: maxHeaderListSize === undefined ? {} : { maxHeaderListSize } },
})
const fault = (raw: readonly string[], alone = false, of: Caller = {}, status = 200) => {
  const error = faultOf(status, raw, alone, of)
  return error === null ? null : `${error.code}: ${error.message}`
}
/** One field, so that all of them take so many bytes. */
const filled = (raw: readonly string[], bytes: number) => {
  const taken = [...raw, 'a'].reduce((sum, text) => sum + text.length, 0) + (raw.length + 2) * 16
  return [...raw, 'a', 'x'.repeat(bytes - taken)]
}

describe('the head of an answer', () => {
  it('is one of gRPC by its status and its content type', () => {
    assert.equal(fault(GRPC), null)
    assert.equal(fault(['content-type', 'application/grpc+proto']), null)
    assert.equal(
      fault(GRPC, false, {}, 404),
      'MESH_PEER_UNIMPLEMENTED: the peer answered HTTP 404, not gRPC',
    )
    assert.match(
      String(fault(['content-type', 'text/html'])),
      /the peer answered HTTP 200, not gRPC/,
    )
    assert.match(String(fault([])), /not gRPC/)
    assert.equal(faultOf(503, GRPC, false, {})?.facts.http_status, '503')
    assert.equal(carriesGrpc([...GRPC, ...GRPC]), false, 'given twice')
    assert.equal(carriesGrpc(['content-type', 'text/application/grpc']), false)
  })

  it('that stands alone says how the call ended; one that is followed need not', () => {
    assert.equal(fault(GRPC, true), 'MESH_PEER_PROTOCOL: the peer ended without a grpc-status')
    assert.equal(fault([...GRPC, 'grpc-status', '0'], true), null)
    assert.equal(withoutStatus().code, 'MESH_PEER_PROTOCOL')
  })

  it('has a hundred fields at most', () => {
    const fields = (count: number) => [
      ...GRPC,
      ...Array.from({ length: count - 1 }, (_, i) => [`f${i}`, 'v']).flat(),
    ]
    assert.equal(fault(fields(100)), null)
    assert.equal(fault(fields(101)), 'MESH_PEER_PROTOCOL: the answer has too many headers')
  })

  it('has 64 KiB at most, and no more than the client takes where that is more than 8 KiB', () => {
    const size = (raw: readonly string[], of?: Caller) => fault(raw, false, of)
    assert.equal(size(filled(GRPC, MAX_METADATA_BYTES)), null)
    assert.match(
      String(size(filled(GRPC, MAX_METADATA_BYTES + 1), caller(1e6))),
      /^MESH_PEER_METADATA_SIZE: the peer answered with 65537 bytes of headers; 65536 pass$/,
    )
    assert.equal(size(filled(GRPC, 16_384), caller(16_384)), null)
    assert.match(
      String(size(filled(GRPC, 16_385), caller(16_384))),
      /^MESH_PEER_METADATA_SIZE: the peer answered with 16385 bytes of headers; this client takes 16384$/,
    )
    assert.equal(size(filled(GRPC, 16_385), caller()), null, 'it says nothing')
    assert.equal(size(filled(GRPC, 8_192), caller(100)), null, 'no client takes less')
    assert.notEqual(size(filled(GRPC, 8_193), caller(100)), null)
  })

  it('gives once what may be given once', () => {
    const twice = (name: string) => fault([...GRPC, name, 'a', 'other', 'b', name, 'a'])
    for (const name of ['grpc-status', 'grpc-message', 'date', 'etag', 'x-content-type-options'])
      assert.equal(twice(name), `MESH_PEER_PROTOCOL: the peer answered ${name} twice`)
    assert.equal(twice('set-cookie'), null)
    assert.equal(fault([...GRPC, 'a', 'date', 'b', 'date']), null, 'values are no names')
  })

  it('goes on without what is the gateway’s to say, and with its own', () => {
    const raw = [
      ...[...GRPC, 'tag', '1', 'x-mesh-anything', 'x', 'tag', '2', 'content-length', '5'],
      ...['x-request-id', 'theirs', 'x-mesh-refusal', 'MESH_X'],
    ]
    const kept = [...GRPC, 'tag', '1', 'tag', '2', 'x-request-id', 'ours']
    assert.deepEqual(answerHeaders(raw, 'ours', PEER, null), kept)
    assert.deepEqual(answerHeaders(raw, 'ours', { ...PEER, replica: 'mark' }, 'root'), [
      ...[...kept, 'x-mesh-replica', 'mark', 'x-mesh-root-id', 'root'],
    ])
    assert.deepEqual(answerHeaders(raw, 'ours', OWN, null), [
      ...[...GRPC, 'tag', '1', 'tag', '2', 'x-mesh-refusal', 'MESH_X', 'x-request-id', 'ours'],
    ])
  })

  it('tells a field of the mesh by its name', () => {
    assert.equal(meshHeader(['a', 'x-mesh-b', 'x-mesh-b', 'c'], 'x-mesh-b'), 'c')
    assert.equal(meshHeader(['a', 'x-mesh-b'], 'x-mesh-b'), null)
  })
})

describe('the trailers of an answer', () => {
  const kept = (raw: readonly string[], of: Parameters<typeof endTrailers>[1] = PEER) => {
    const trailers = endTrailers(raw, of)
    return trailers instanceof MeshError ? `${trailers.code}: ${trailers.message}` : trailers
  }

  it('go on as they came, repeated ones in their order, less what is the gateway’s to say', () => {
    const raw = ['grpc-status', '0', ':status', '200', 'tag', '1', 'x-mesh-refusal', 'X']
    assert.deepEqual(kept([...raw, 'tag', '2', 'tag', '3']), {
      ...{ 'grpc-status': '0', tag: ['1', '2', '3'] },
    })
    assert.deepEqual(kept(raw, OWN), { 'grpc-status': '0', tag: '1', 'x-mesh-refusal': 'X' })
    assert.deepEqual(kept([]), {})
  })

  it('have the bounds of a head', () => {
    const fields = (count: number) => Array.from({ length: count }, (_, i) => [`f${i}`, 'v']).flat()
    assert.equal(typeof kept(fields(100)), 'object')
    assert.equal(kept(fields(101)), 'MESH_PEER_PROTOCOL: the answer has too many trailers')
    assert.match(
      String(kept(filled([], MAX_METADATA_BYTES + 1))),
      /^MESH_PEER_METADATA_SIZE: .* bytes of trailers;/,
    )
    assert.equal(
      kept(['grpc-status', '0', 'grpc-status', '0']),
      'MESH_PEER_PROTOCOL: the peer answered grpc-status twice',
    )
    const small = endTrailers(filled([], 10_000), PEER, caller(9_000))
    assert.ok(small instanceof MeshError && small.code === 'MESH_PEER_METADATA_SIZE')
  })

  it('have a status between 0 and 16; all else is UNKNOWN', () => {
    assert.deepEqual(
      ['0', '16', '17', '-1', '1.5', 'x', undefined, '5'].map(readStatus),
      [0, 16, 2, 2, 2, 2, 2, 5],
    )
  })
})
