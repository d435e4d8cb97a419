/** Connections within the process, on which the MCP endpoint calls in the name of its clients. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { MeshError } from '@clawmesh/proto'
import type { Client } from '../../../../mesh-gateway/src/delegation/client/authenticate.ts'
import { createInnerConnections } from '../../../../mesh-gateway/src/delegation/mcp/inner-connections.ts'
import { createRouteCache } from '../../../../mesh-gateway/src/delegation/route-cache.ts'
import { NO_ADDRESS } from '../../../../mesh-gateway/src/net/client-address.ts'

const HEADERS = [':method', 'POST', ':scheme', 'https', ':path', '/a.B/C', ':authority', 'peer']

describe('a connection within the process', () => {
  it('hands each call over with its client, and remembers no client of a call that could not be made', async () => {
    const client: Client = {
      ...{ peer: null, refusal: new MeshError('MESH_IDENTITY_UNTRUSTED') },
      ...{ routes: createRouteCache(), address: NO_ADDRESS, ownPort: ':8443', meter: { bytes: 0 } },
    }
    const handed: Client[] = []
    const inner = createInnerConnections((stream, _headers, from) => {
      handed.push(from)
      stream.respond({ ':status': 200 }, { endStream: true })
    })
    assert.throws(() => inner.open(client, [...HEADERS, ':method', 'GET']))
    assert.throws(() => inner.open(client, [...HEADERS, 'connection', 'close']))
    assert.equal(inner.underWay, 0)
    const stream = inner.open(client, HEADERS)
    assert.equal(inner.underWay, 1)
    stream.end()
    stream.resume()
    await once(stream, 'close')
    assert.deepEqual(handed, [client])
    assert.equal(inner.underWay, 0)
    inner.close()
    assert.throws(() => inner.open(client, HEADERS), { code: 'MESH_GATEWAY_DRAINING' })
  })
})
