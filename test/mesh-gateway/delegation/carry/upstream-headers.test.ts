import assert from 'node:assert/strict'
import { readCall } from '../../../../mesh-gateway/src/delegation/call.ts'
import { upstreamHeaders } from '../../../../mesh-gateway/src/delegation/carry/upstream-headers.ts'

describe('the head of a request to a callee', () => {
  it('has what the gateway says before what the caller says, and what is left of the deadline', () => {
    const call = readCall([':path', '/a.B/C', 'tag', '1', 'tag', '2'])
    const head = [
      ...[':method', 'POST', ':scheme', 'https', ':path', '/a.B/C', ':authority', 'b'],
      ...['te', 'trailers', 'x-mesh-caller', 'me'],
    ]
    const mesh = ['x-mesh-caller', 'me']
    assert.deepEqual(upstreamHeaders(call, 'b', mesh, 2_000), [
      ...[...head, 'grpc-timeout', '2000m', 'tag', '1', 'tag', '2'],
    ])
    assert.deepEqual(upstreamHeaders(call, 'b', mesh, null), [...head, 'tag', '1', 'tag', '2'])
  })
})
