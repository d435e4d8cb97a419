/** How many connections may be open at once: of clients to the port, of all agents to one destination, and of one agent to all of them. */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { waitFor } from '../../../support/wait-for.ts'
import { type Fixture, type RawClient, rawClient, refusalOf, sendRaw } from '../fixture.ts'
import { basic, connectTo, get, setUp } from '../setup.ts'

const CLOSE = 'Connection: close\r\n'

/** Answers requests and keeps the connection; anything else comes back. */
function serve(socket: Socket): void {
  socket.on('data', (data: Buffer) => {
    if (data.includes('/reset')) socket.resetAndDestroy()
    else if (data.includes('HTTP/1.1'))
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    else socket.write(data)
  })
  socket.on('end', () => socket.end())
}

describe('connections at once', () => {
  const setup = setUp()
  afterEach(setup.close)

  async function open(port: object) {
    const upstream = await setup.upstream(serve)
    const other = await setup.upstream(serve)
    const ports = [upstream.port, other.port]
    const egress = await setup.egress(upstream.port, {
      egress: { allow: ports.map((number) => `api.test:${number}`) },
      global: { ports: [80, 443, ...ports] },
      port,
    })
    const destinations = ports.map((number) => `api.test:${number}`)
    const auth = async (agent: string) => basic(await egress.token({ agent, destinations }), agent)
    const [one, two] = [await auth('bot-01'), await auth('bot-02')]
    const tunnel = async (credential: string, to = upstream.port) => {
      const client = await rawClient(egress.number)
      client.send(`${connectTo(to, credential)}x`)
      await client.until((text) => text.endsWith('\r\n\r\nx'))
      return client
    }
    return { egress, upstream, other, one, two, tunnel }
  }
  const refused = async (egress: Fixture, request: string, words: RegExp) => {
    const answer = await sendRaw(egress.number, request)
    assert.match(answer, /^HTTP\/1\.1 429 [\s\S]*retry-after: 1\r\n/)
    const { code, gate, reason } = refusalOf(answer)
    assert.deepEqual([code, gate], ['MESH_LIMIT_CONCURRENCY', 'limits'])
    assert.match(reason, words)
  }
  const end = async (egress: Fixture, client: RawClient) => {
    const { length } = egress.records
    client.socket.end()
    await client.rest()
    await egress.record(length)
  }
  const count = async (egress: Fixture, reason: string) =>
    new RegExp(
      `^clawmesh_connections_refused_total\\{plane="egress",reason="${reason}"\\} (\\d+)$`,
      'm',
    ).exec(await egress.metrics())?.[1] ?? '0'

  it('to one destination are bounded over all agents, and others are not touched', async () => {
    const { egress, upstream, other, one, two, tunnel } = await open({
      maxConnectionsPerDestination: 2,
    })
    const first = await tunnel(one)
    await tunnel(two)
    const words = /^all agents together have 2 connections to api\.test:\d+ open$/
    await refused(egress, connectTo(upstream.port, one), words)
    await refused(egress, get(upstream.port, two + CLOSE), words)
    assert.equal((await egress.record(1)).action_allowed, false)
    assert.equal(upstream.connections.length, 2)
    assert.match(await sendRaw(egress.number, get(other.port, one + CLOSE)), /^HTTP\/1\.1 200 /)
    await end(egress, first)
    await waitFor('room', async () =>
      (await sendRaw(egress.number, get(upstream.port, two + CLOSE))).startsWith('HTTP/1.1 200 '),
    )
    assert.ok(Number(await count(egress, 'connections-per-destination')) >= 2)
  })

  it('of one agent are bounded over all destinations, and others are not touched', async () => {
    const { egress, upstream, other, one, two, tunnel } = await open({ maxConnectionsPerAgent: 2 })
    await tunnel(one)
    await tunnel(one, other.port)
    const words = /^this agent has 2 connections to destinations open$/
    await refused(egress, connectTo(upstream.port, one), words)
    await refused(egress, get(other.port, one + CLOSE), words)
    assert.match(await sendRaw(egress.number, get(other.port, two + CLOSE)), /^HTTP\/1\.1 200 /)
    assert.equal(await count(egress, 'connections-per-agent'), '2')
  })

  it('that only wait for the next request make way, the longest waiting first', async () => {
    const { egress, upstream, one, two } = await open({ maxConnectionsPerDestination: 2 })
    const ask = async (auth: string) => {
      assert.match(
        await sendRaw(egress.number, get(upstream.port, auth + CLOSE)),
        /^HTTP\/1\.1 200 /,
      )
    }
    await ask(one)
    await ask(two)
    // both places are taken by connections that wait: of each agent one
    assert.equal(upstream.connections.length, 2)
    const tunnel = await rawClient(egress.number)
    tunnel.send(`${connectTo(upstream.port, one)}x`)
    await tunnel.until((text) => text.endsWith('\r\n\r\nx'))
    await ask(two)
    assert.equal(upstream.connections.length, 3, 'the one of the second agent was used again')
    await ask(one)
    assert.equal(upstream.connections.length, 4, 'the first had lost its own')
    assert.equal(await count(egress, 'connections-per-destination'), '0')
  })

  it('are counted no more however they end', async () => {
    const { egress, upstream, one, tunnel } = await open({ maxConnectionsPerAgent: 1 })
    const works = () =>
      waitFor('room', async () =>
        (await sendRaw(egress.number, get(upstream.port, one + CLOSE))).startsWith('HTTP/1.1 200 '),
      )
    for (let i = 0; i < 3; i += 1) {
      assert.match(
        await sendRaw(egress.number, get(upstream.port, one + CLOSE, '/reset', 'POST')),
        /^HTTP\/1\.1 502 /,
      )
      await works()
      const client = await tunnel(one)
      client.socket.resetAndDestroy()
      await works()
      const ended = await tunnel(one)
      egress.port.endTunnels(() => 'MESH_TOKEN_REVOKED')
      await ended.rest()
      await works()
    }
  })

  it('that cannot be made leave no trace', async () => {
    const { egress, upstream, one } = await open({ maxConnectionsPerAgent: 1 })
    await upstream.close()
    for (let i = 0; i < 5; i += 1)
      assert.match(
        await sendRaw(egress.number, connectTo(upstream.port, one)),
        /^HTTP\/1\.1 502 MESH_EGRESS_UNREACHABLE /,
      )
  })

  it('are never more, however many ask in one moment', async () => {
    const { egress, upstream, one } = await open({ maxConnectionsPerDestination: 10 })
    const clients = await Promise.all(
      Array.from({ length: 60 }, async () => {
        const client = await rawClient(egress.number)
        client.send(connectTo(upstream.port, one))
        return { client, text: await client.until((got) => got.includes('\r\n\r\n')) }
      }),
    )
    assert.equal(clients.filter(({ text }) => / 200 Conn/.test(text)).length, 10)
    assert.equal(clients.filter(({ text }) => / 429 MESH_LIMIT_C/.test(text)).length, 50)
    // the last ones may be connected and not accepted yet
    await waitFor('the upstream', () => upstream.connections.length >= 10)
    assert.equal(upstream.connections.length, 10)
    for (const { client } of clients) client.socket.destroy()
  })

  /** Whether a client of its own is served. */
  const isServed = async (egress: Fixture, request: string) => {
    const client = connect({ host: '127.0.0.1', port: egress.number })
    client.on('error', () => {})
    let text = ''
    client.on('data', (chunk: Buffer) => {
      text += chunk
    })
    client.write(request)
    await new Promise((resolve) => client.once('close', resolve))
    return text.startsWith('HTTP/1.1 200 ')
  }

  it('of clients are bounded too: one that has said nothing makes way, and is counted', async () => {
    const { egress, upstream, one } = await open({ maxConnections: 3 })
    const silent = await Promise.all(Array.from({ length: 3 }, () => rawClient(egress.number)))
    assert.equal(await isServed(egress, get(upstream.port, one + CLOSE)), true)
    await Promise.race(silent.map((client) => client.rest()))
    assert.equal(await count(egress, 'connections'), '1')
    for (const client of silent) client.socket.destroy()
  })

  it('of clients that are served go on: what is beyond is closed and counted, and room is used again', async () => {
    const { egress, upstream, one, tunnel } = await open({ maxConnections: 3 })
    const tunnels = [await tunnel(one), await tunnel(one), await tunnel(one)]
    const request = get(upstream.port, one + CLOSE)
    assert.equal(await isServed(egress, request), false)
    assert.equal(await count(egress, 'connections'), '1')
    for (const client of tunnels) {
      client.send('y')
      await client.until((text) => text.endsWith('xy'))
    }
    tunnels[0]?.socket.destroy()
    await waitFor('room', () => isServed(egress, request))
    for (const client of tunnels) client.socket.destroy()
  })
})
