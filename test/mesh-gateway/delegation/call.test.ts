import assert from 'node:assert/strict'
import { isUuidV7, MeshError } from '@clawmesh/proto'
import { isGrpc, readCall } from '../../../mesh-gateway/src/delegation/call.ts'

const base = [':method', 'POST', ':path', '/pkg.v1.Service/Do', ':authority', 'a.b.mesh.internal']

describe('reading a call', () => {
  it('tells method, target, deadline and metadata', () => {
    const call = readCall([...base, 'grpc-timeout', '5S', 'authorization', 'x', 'a-bin', 'AA'])
    assert.equal(call.method, 'pkg.v1.Service/Do')
    assert.equal(call.target, 'a.b.mesh.internal')
    assert.equal(call.timeoutMs, 5_000)
    assert.deepEqual(call.metadata, ['authorization', 'x', 'a-bin', 'AA'])
  })

  it('lets x-mesh-target go before :authority', () => {
    assert.equal(
      readCall([...base, 'x-mesh-target', 'c.d.mesh.internal']).target,
      'c.d.mesh.internal',
    )
  })

  it('hands on nothing that a caller says in the name of the mesh', () => {
    const forged = [
      'x-mesh-caller',
      'x-mesh-tenant',
      'x-mesh-delegation',
      'x-mesh-anything',
      'x-forwarded-client-cert',
    ]
    const call = readCall([...base, ...forged.flatMap((name) => [name, 'me'])])
    assert.deepEqual(call.metadata, [])
  })

  it('keeps every value of a repeated name, in order', () => {
    const call = readCall([...base, 'tag', '1', 'other', 'x', 'tag', '2'])
    assert.deepEqual(call.metadata, ['tag', '1', 'other', 'x', 'tag', '2'])
  })

  it('keeps a good request id and trace, and makes new ones where they are not', () => {
    const traceId = '0af7651916cd43dd8448eb211c80319c'
    const good = readCall([
      ...base,
      'x-request-id',
      'abc-1',
      'traceparent',
      `00-${traceId}-b7ad6b7169203331-01`,
    ])
    assert.equal(good.requestId, 'abc-1')
    assert.equal(good.trace.traceId, traceId)
    assert.notEqual(good.trace.parentId, 'b7ad6b7169203331')
    const bad = readCall([...base, 'x-request-id', 'a b\n', 'traceparent', 'nonsense'])
    assert.ok(isUuidV7(bad.requestId))
    assert.match(bad.trace.traceId, /^[0-9a-f]{32}$/)
  })

  it('refuses ambiguous or malformed calls', () => {
    const bad: string[][] = [
      [...base, 'x-mesh-target', 'a.b.mesh.internal', 'x-mesh-target', 'c.d.mesh.internal'],
      [...base, 'grpc-timeout', '1S', 'grpc-timeout', '2S'],
      [...base, 'grpc-timeout', 'soon'],
      [':path', '/'],
      [':path', '/a/b/c'],
      [':path', '//Service/Method'],
      [':path', '/Service/Method?x'],
      [':path', '/../Method'],
      [],
    ]
    for (const headers of bad)
      assert.throws(
        () => readCall(headers),
        (error) => error instanceof MeshError && error.code === 'MESH_ROUTE_MALFORMED',
      )
  })

  it('says of each header that is malformed what to do about that header', () => {
    const faults: Record<string, string[]> = {
      'grpc-timeout is malformed': ['grpc-timeout', 'soon'],
      'grpc-timeout is given twice': ['grpc-timeout', '1S', 'grpc-timeout', '2S'],
      'x-mesh-target is given twice': ['x-mesh-target', 'a', 'x-mesh-target', 'b'],
      'x-mesh-delegation is given twice': ['x-mesh-delegation', 'a', 'x-mesh-delegation', 'a'],
      'x-mesh-task-deadline is malformed': ['x-mesh-task-deadline', '-1'],
      'x-mesh-task-deadline is given twice': [
        ...['x-mesh-task-deadline', '1', 'x-mesh-task-deadline', '1'],
      ],
    }
    for (const [message, headers] of Object.entries(faults))
      assert.throws(
        () => readCall([...base, ...headers]),
        (error) =>
          error instanceof MeshError &&
          error.code === 'MESH_ROUTE_MALFORMED' &&
          error.message.includes(message) &&
          error.hint.includes(message.split(' ')[0] ?? ''),
        message,
      )
    const unit = (timeout: string) => readCall([...base, 'grpc-timeout', timeout]).timeoutMs
    // what the hint says is taken
    assert.deepEqual([unit('30S'), unit('500m')], [30_000, 500])
  })

  it('takes the gateway’s own port in :authority for what the client has connected to', () => {
    const target = (name: string, value: string) =>
      readCall([':path', '/a.B/C', name, value], ':8443').target
    assert.equal(target(':authority', 'a.acme.mesh.internal:8443'), 'a.acme.mesh.internal')
    assert.equal(target(':authority', 'a.acme.mesh.internal:7443'), 'a.acme.mesh.internal:7443')
    assert.equal(target(':authority', 'a.acme.mesh.internal:18443'), 'a.acme.mesh.internal:18443')
    // a header of the mesh is no matter of the client's transport
    assert.equal(target('x-mesh-target', 'a.acme.mesh.internal:8443'), 'a.acme.mesh.internal:8443')
  })

  it('tells gRPC from everything else', () => {
    const head = (method: string, ...types: string[]) => [
      ...[':method', method],
      ...types.flatMap((type) => ['content-type', type]),
    ]
    assert.ok(isGrpc(head('POST', 'application/grpc')))
    assert.ok(isGrpc(head('POST', 'application/grpc+proto')))
    assert.ok(!isGrpc(head('GET', 'application/grpc')))
    assert.ok(!isGrpc(head('POST', 'application/grpc-web')))
    assert.ok(!isGrpc(head('POST', 'application/json')))
    assert.ok(!isGrpc(head('POST', 'twice')))
    assert.ok(!isGrpc(head('POST')))
    assert.throws(() => isGrpc(head('POST', 'application/grpc', 'application/json')), {
      code: 'MESH_ROUTE_MALFORMED',
    })
  })
})
