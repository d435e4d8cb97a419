import assert from 'node:assert/strict'
import { formatTraceparent, isUuidV7, MeshError, uuidV7 } from '@clawmesh/proto'
import { isGrpc, meshMetadata, readCall } from '../../../mesh-gateway/src/delegation/call.ts'

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

  it('hands on the tracestate of a trace that it continues, and of no other', () => {
    const trace = (digit: string) => `00-${digit.repeat(32)}-b7ad6b7169203331-01`
    const states = (...headers: string[]) => {
      const { metadata, trace: kept } = readCall([...base, ...headers])
      const found = metadata.filter((_, at) => metadata[at - 1] === 'tracestate' && at % 2 === 1)
      return [kept.traceId === 'a'.repeat(32), found]
    }
    const state = ['tracestate', 'x=1', 'tracestate', 'y=2']
    assert.deepEqual(states('traceparent', trace('a'), ...state), [true, ['x=1', 'y=2']])
    assert.deepEqual(states(...state), [false, []])
    assert.deepEqual(states('traceparent', 'nonsense', ...state), [false, []])
    const twice = (one: string, two: string) => ['traceparent', one, 'traceparent', two]
    assert.deepEqual(states(...twice(trace('a'), trace('a')), ...state), [true, ['x=1', 'y=2']])
    assert.deepEqual(states(...twice(trace('b'), trace('a')), ...state), [false, []])
    assert.deepEqual(states(...twice(trace('a'), trace('b')), ...state), [false, []])
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

  it('reads what narrows the chain, in one header or in several, and each word of it', () => {
    const read = (...headers: string[]) => readCall([...base, ...headers]).chain
    const none = read()
    assert.deepEqual(none, {
      ...{ token: null, delegationId: null, replica: null, destinations: null, scope: null },
      deadlineMs: null,
    })
    const of = read(
      ...[
        'x-mesh-narrow-destinations',
        ' a.test , b.test,',
        'x-mesh-narrow-destinations',
        'c.test',
      ],
      ...['x-mesh-narrow-scope', 'read  write', 'x-mesh-narrow-scope', 'list'],
      ...['x-mesh-delegation', 'token', 'x-mesh-task-deadline', '9999999999999'],
    )
    assert.deepEqual(of.destinations, ['a.test', 'b.test', 'c.test'])
    assert.deepEqual(of.scope, ['read', 'write', 'list'])
    assert.deepEqual([of.token, of.deadlineMs], ['token', 9_999_999_999_999])
    assert.deepEqual(read('x-mesh-narrow-destinations', '').destinations, [])
    assert.deepEqual(read('x-mesh-narrow-scope', '').scope, [])
    for (const late of ['10000000000000', '1.5', '', ' 1', '1e3'])
      assert.throws(() => read('x-mesh-task-deadline', late), { code: 'MESH_ROUTE_MALFORMED' })
  })

  it('reads the id of a delegation and the mark of a replica where they are ones, and ignores all else', () => {
    const id = uuidV7()
    const read = (...headers: string[]) => readCall([...base, ...headers]).chain
    assert.equal(read('x-mesh-delegation-id', id).delegationId, id)
    assert.equal(read('x-mesh-delegation-id', 'mine').delegationId, null)
    assert.equal(read('x-mesh-replica', 'abcdefgh-1234567').replica, 'abcdefgh-1234567')
    for (const mark of ['abcdefgh-123456', 'abcdefgh-12345678', 'abcdefgh.1234567'])
      assert.equal(read('x-mesh-replica', mark).replica, null)
  })

  it('has an id of a delegation of the caller, or of its own where it begins a task; no other call has one', () => {
    const of = (method: string, ...headers: string[]) =>
      readCall([':path', `/clawmesh.delegation.v1.DelegationService/${method}`, ...headers])
        .delegationId
    const id = uuidV7()
    assert.ok(isUuidV7(of('Delegate') ?? ''))
    assert.notEqual(of('Delegate'), of('Delegate'))
    assert.equal(of('Delegate', 'x-mesh-delegation-id', id), id)
    assert.equal(of('Watch', 'x-mesh-delegation-id', id), id)
    assert.equal(of('Watch'), null)
  })

  it('leaves out what is of the connection to the gateway, and what it may not say', () => {
    const dropped = ['te', 'content-length', 'host', ':scheme', ':unknown', 'x-request-id']
    const call = readCall([...base, ...dropped.flatMap((name) => [name, 'v']), 'kept', 'v', 'odd'])
    assert.deepEqual(call.metadata, ['kept', 'v'])
    const long = (length: number) =>
      readCall([':path', `/a.B/${'c'.repeat(length - 5)}`]).path.length
    assert.equal(long(512), 512)
    assert.throws(() => long(513), { code: 'MESH_ROUTE_MALFORMED' })
  })

  it('takes the first request id that is a good one', () => {
    const of = (...ids: string[]) =>
      readCall([...base, ...ids.flatMap((id) => ['x-request-id', id])]).requestId
    assert.equal(of('good', 'other'), 'good')
    assert.equal(of('a b', 'good'), 'good')
  })

  it('is told to the callee in the words of the gateway', () => {
    const call = readCall([...base, 'x-request-id', 'request'])
    assert.deepEqual(meshMetadata(call, 'me', 'acme'), [
      ...['x-mesh-caller', 'me', 'x-mesh-tenant', 'acme', 'x-request-id', 'request'],
      ...['traceparent', formatTraceparent(call.trace)],
    ])
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
