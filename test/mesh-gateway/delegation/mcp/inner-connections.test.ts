/** Connections within the process, on which the MCP endpoint calls in the name of its clients. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerHttp2Stream } from 'node:http2'
import { text } from 'node:stream/consumers'
import { createSpiffeTemplate, MeshError } from '@clawmesh/proto'
import {
  CONNECTION_WINDOW_BYTES,
  WINDOW_BYTES,
} from '../../../../mesh-gateway/src/delegation/carry/windows.ts'
import type { Client } from '../../../../mesh-gateway/src/delegation/client/authenticate.ts'
import {
  createInnerConnections,
  type InnerConnections,
} from '../../../../mesh-gateway/src/delegation/mcp/inner-connections.ts'
import { createRouteCache } from '../../../../mesh-gateway/src/delegation/route-cache.ts'
import { NO_ADDRESS } from '../../../../mesh-gateway/src/net/client-address.ts'
import { waitFor } from '../../../support/wait-for.ts'

const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })
const SHARED = {
  ...{ routes: createRouteCache(), address: NO_ADDRESS, ownPort: ':8443', meter: { bytes: 0 } },
}
const HEADERS = [':method', 'POST', ':scheme', 'https', ':path', '/a.B/C', ':authority', 'peer']

/** An agent of a tenant. */
function clientOf(tenant: string): Client {
  const identity = spiffe.parse(`spiffe://mesh.internal/tenant/${tenant}/agent/planner`)
  assert.ok(identity)
  const peer = {
    identity,
    ...{ dnsNames: [], links: [], serial: '1', fingerprint: 'f' },
    ...{ rootFingerprint: 'r', anchor: 'a' },
    ...{ notBefore: new Date(0), notAfter: new Date(1) },
  }
  return { peer, refusal: null, ...SHARED }
}

describe('a connection within the process', () => {
  it('hands each call over with its client, and remembers no client of a call that could not be made', async () => {
    const client: Client = {
      ...{ peer: null, refusal: new MeshError('MESH_IDENTITY_UNTRUSTED') },
      ...SHARED,
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

  it('hands over the headers as they were given, and the body', async () => {
    const got: { headers: readonly string[]; body: string }[] = []
    const inner = createInnerConnections((stream, headers) => {
      void text(stream).then((body) => {
        got.push({ headers, body })
        stream.respond({ ':status': 200 }, { endStream: true })
      })
    })
    // a client may choose any name, that of the mark too
    const headers = [...HEADERS, 'x-mesh-mcp-client', '1', 'x-other', 'a']
    const stream = inner.open(clientOf('acme'), headers)
    stream.end('the body')
    stream.resume()
    await once(stream, 'close')
    assert.deepEqual(got, [{ headers, body: 'the body' }])
    inner.close()
  })

  it('brings an answer with as many headers and trailers as pass the port', async () => {
    const fields: Record<string, string> = {}
    // by the count of RFC 9113, section 6.5.2: 32 bytes for each beside its name and value
    for (let i = 100; i < 711; i += 1) fields[`x-field-${i}`] = 'a'.repeat(64)
    const inner = createInnerConnections((stream) => {
      stream.respond({ ':status': 200, ...fields }, { waitForTrailers: true })
      stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', ...fields }))
      stream.end('the body')
    })
    const stream = inner.open(clientOf('acme'), HEADERS)
    stream.end()
    const gone = once(stream, 'close')
    const [head, trailers, body] = await Promise.all([
      once(stream, 'response'),
      once(stream, 'trailers'),
      text(stream),
    ])
    for (const [got] of [head, trailers])
      assert.deepEqual(
        Object.keys(got).filter((name) => name.startsWith('x-')),
        Object.keys(fields),
      )
    assert.equal(body, 'the body')
    await gone
    inner.close()
  })

  describe('with calls that go on', () => {
    let inner: InnerConnections
    let handed: number
    let streams: ServerHttp2Stream[]
    beforeEach(() => {
      handed = 0
      streams = []
      inner = createInnerConnections((stream) => {
        handed += 1
        streams.push(stream)
        stream.on('error', () => {})
        stream.respond({ ':status': 200 })
      })
    })
    afterEach(() => inner.close())

    const open = async (tenant: string) => {
      const stream = inner.open(clientOf(tenant), HEADERS)
      stream.on('error', () => {})
      await once(stream, 'response')
      const { session } = stream
      assert.ok(session)
      return { stream, session }
    }

    it('has one for each tenant', async () => {
      const [one, two, other] = [await open('acme'), await open('acme'), await open('globex')]
      assert.equal(one.session, two.session)
      assert.notEqual(one.session, other.session)
    })

    it('makes another once one takes no more calls, and keeps to that', async () => {
      const first = await open('acme')
      const gone = once(first.session, 'close')
      first.session.close()
      const second = await open('acme')
      assert.notEqual(second.session, first.session)
      first.stream.close()
      await gone
      assert.equal((await open('acme')).session, second.session)
    })

    it('makes another after a fault of one, which ends its calls and nothing else', async () => {
      const first = await open('acme')
      const ended = new Promise((resolve) => first.stream.once('close', resolve))
      first.session.destroy(new Error('a fault'))
      await ended
      assert.notEqual((await open('acme')).session, first.session)
    })

    it('lets a call send as much as the ports do before it must wait', async () => {
      const { session } = await open('acme')
      await waitFor(
        'the windows',
        () =>
          session.state.effectiveLocalWindowSize === CONNECTION_WINDOW_BYTES &&
          session.state.remoteWindowSize === CONNECTION_WINDOW_BYTES,
      )
      assert.equal(session.remoteSettings.initialWindowSize, WINDOW_BYTES)
    })

    it('takes little of an answer that is not read: the rest waits where it is counted', async () => {
      const { stream } = await open('acme')
      const [answer] = streams
      assert.ok(answer)
      answer.write(Buffer.alloc(WINDOW_BYTES))
      // one more call there and back, on the same connection
      await open('acme')
      await open('acme')
      const left = answer.writableLength
      assert.ok(left >= WINDOW_BYTES - 131_072, `${left} bytes are left`)
      stream.close()
    })

    it('hands no call over that its client has left already', async () => {
      const stream = inner.open(clientOf('acme'), HEADERS)
      stream.on('error', () => {})
      stream.destroy()
      await once(stream, 'close')
      const later = await open('acme')
      assert.equal(handed, 1)
      assert.equal(inner.underWay, 1)
      later.stream.close()
    })

    it('ends all calls when it is closed', async () => {
      const { stream } = await open('acme')
      const ended = once(stream, 'close')
      inner.close()
      await ended
      assert.equal(inner.underWay, 0)
    })
  })
})
