/** The promises of the egress port, over real sockets. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { fetch, ProxyAgent } from 'undici'
import { type Fixture, startEgress } from './fixture.ts'

async function startHttp(serve: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(serve)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return {
    port: address.port,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Policy and token for one host on one port. */
function only(host: string, port: number) {
  return {
    egress: { allow: [`${host}:${port}`] },
    global: { ports: [80, 443, port] },
    destinations: [`${host}:${port}`],
  }
}

describe('the egress port', () => {
  let fixture: Fixture
  const closing: (() => Promise<void>)[] = []
  const start = async (...args: Parameters<typeof startEgress>) => {
    fixture = await startEgress(...args)
    closing.push(fixture.close)
    return fixture
  }
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close()
  })

  it('hands on an allowed request and its answer, and writes one record', async () => {
    const seen: IncomingMessage[] = []
    const upstream = await startHttp((request, response) => {
      seen.push(request)
      response.setHeader('x-from', 'upstream')
      response.end('hello')
    })
    closing.push(upstream.close)
    const rules = only('api.test', upstream.port)
    await start({ ...rules, names: { 'api.test': ['127.0.0.1'] } })
    const token = await fixture.token(rules)
    const dispatcher = new ProxyAgent({
      uri: `http://127.0.0.1:${fixture.number}`,
      token: `Bearer ${token}`,
      proxyTunnel: false,
    })
    const response = await fetch(`http://api.test:${upstream.port}/a?b=c`, { dispatcher })
    assert.equal(await response.text(), 'hello')
    assert.equal(response.headers.get('x-from'), 'upstream')
    await dispatcher.close()
    const record = await fixture.record(0)
    assert.equal(record.status, 200)
    assert.equal(record.action_allowed, true)
    assert.equal(record.path, '/a')
    assert.equal(record.destination_ip, '127.0.0.1')
    assert.equal(record.bytes_down, 5)
    assert.equal(seen[0]?.headers['proxy-authorization'], undefined)
    assert.equal(seen[0]?.headers['x-request-id'], record.request_id)
    assert.equal(seen[0]?.url, '/a?b=c')
    assert.equal(fixture.records.length, 1)
  })
})
