/** The relay before a real egress port: what goes through it, and what of the client's credential does not. */
import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import {
  type Fixture,
  rawClient,
  refusalOf,
  sendRaw,
} from '../../../mesh-gateway/egress/fixture.ts'
import { connectTo, get, SWITCH, setUp, UPGRADE } from '../../../mesh-gateway/egress/setup.ts'
import { fixedTokens, type RelayWorld, shortTokens, startRelay, statusOf } from './relay-world.ts'

describe('a relay carries', () => {
  const setup = setUp()
  afterEach(() => setup.close())

  async function relayTo(egress: Fixture, port: number, options: object = {}): Promise<RelayWorld> {
    const tokens = fixedTokens(await egress.token({ destinations: [`api.test:${port}`] }))
    const world = await startRelay({ gateway: egress.number, tokens, ...options })
    setup.closing.push(world.close)
    return world
  }

  it('a request in absolute form, with a token in place of the secret; the destination sees neither', async () => {
    const heads: IncomingMessage['rawHeaders'][] = []
    const { port } = await setup.http((request, response) => {
      heads.push(request.rawHeaders)
      response.end('hello')
    })
    const egress = await setup.egress(port)
    const world = await relayTo(egress, port)
    const answer = await sendRaw(world.port, get(port, `${world.credential}X-Mine: kept\r\n`))
    assert.equal(statusOf(answer), 200)
    assert.match(answer, /\r\n\r\nhello$/)
    assert.equal((await egress.record(0)).agent_id, 'bot-01')
    const seen = heads.flat().join('\n')
    assert.match(seen, /X-Mine\nkept/)
    assert.doesNotMatch(seen, /proxy-authorization/i)
    assert.equal(seen.includes(world.secret), false)
  })

  it('a tunnel, both ways, bytes sent with CONNECT included', async () => {
    const upstream = await setup.upstream((socket) => socket.pipe(socket))
    const egress = await setup.egress(upstream.port)
    const world = await relayTo(egress, upstream.port)
    const client = await rawClient(world.port)
    client.send(`${connectTo(upstream.port, world.credential)}early`)
    await client.until((text) => text.startsWith('HTTP/1.1 200 ') && text.endsWith('early'))
    client.send('late')
    await client.until((text) => text.endsWith('late'))
    client.socket.end()
    await client.rest()
    client.socket.destroy()
  })

  it('what policy refuses, with the words of the gateway', async () => {
    const egress = await setup.egress(1)
    const world = await relayTo(egress, 1)
    const refused = await sendRaw(world.port, connectTo(443, world.credential, 'other.test'))
    assert.match(refused, /^HTTP\/1\.1 403 MESH_[A-Z_]+ .*other\.test/)
    assert.equal(refusalOf(refused).request_id, (await egress.record(0)).request_id)
    const absolute = await sendRaw(world.port, get(1, `${world.credential}Via: 1.1 clawmesh\r\n`))
    assert.equal(
      statusOf(absolute),
      statusOf(await sendRaw(egress.number, get(1, `Via: 1.1 clawmesh\r\n`))),
    )
  })

  it('a WebSocket in absolute form', async () => {
    const upstream = await setup.upstream((socket) => {
      socket.once('data', () => {
        socket.write(SWITCH)
        socket.pipe(socket)
      })
    })
    const egress = await setup.egress(upstream.port)
    const world = await relayTo(egress, upstream.port)
    const client = await rawClient(world.port)
    client.send(get(upstream.port, `${world.credential}${UPGRADE}`))
    await client.until((text) => text.startsWith('HTTP/1.1 101 ') && text.includes('\r\n\r\n'))
    client.send('frames')
    await client.until((text) => text.endsWith('frames'))
    client.socket.destroy()
  })

  it('a body of any length as it comes, and its answer before it has ended', async () => {
    const { port } = await setup.http((request, response) => request.pipe(response))
    const egress = await setup.egress(port)
    const world = await relayTo(egress, port)
    const client = await rawClient(world.port)
    client.send(get(port, `${world.credential}Transfer-Encoding: chunked\r\n`, '/', 'POST'))
    for (const piece of ['one', 'two', 'six']) {
      client.send(`3\r\n${piece}\r\n`)
      await client.until((text) => text.includes(piece))
    }
    const large = Buffer.alloc(3_000_000, 'x')
    client.send(`${large.length.toString(16)}\r\n`)
    client.send(large)
    client.send('\r\n0\r\n\r\n')
    const answer = await client.rest()
    client.socket.destroy()
    const [, body = ''] = answer.split('six')
    assert.equal(body.split('x').length - 1, large.length)
  })

  it('one request on a connection: what follows its body is no second request', async () => {
    let served = 0
    const { port } = await setup.http((_, response) => {
      served += 1
      response.end('once')
    })
    const egress = await setup.egress(port)
    const world = await relayTo(egress, port)
    const one = get(port, world.credential)
    const answer = await sendRaw(world.port, `${one}${one}`)
    assert.equal(answer.match(/once/g)?.length, 1)
    assert.match(answer, /\r\nconnection: close\r\n/)
    assert.equal(served, 1)
  })

  it('tokens change all the time, and no request fails', async () => {
    const { port } = await setup.http((_, response) => response.end('fine'))
    const egress = await setup.egress(port)
    const tokens = shortTokens(() => egress.token({ destinations: [`api.test:${port}`] }), 300)
    const world = await relayTo(egress, port, { tokens })
    let asked = 0
    while (tokens.made.length < 5) {
      const answers = await Promise.all(
        Array.from({ length: 5 }, () => sendRaw(world.port, get(port, world.credential))),
      )
      for (const answer of answers) assert.equal(statusOf(answer), 200, answer)
      asked += answers.length
    }
    assert.ok(asked > 5)
    assert.equal(new Set(tokens.made).size, tokens.made.length)
  })

  it('a token that was revoked or has ended costs a fresh one, and the client sees nothing of it', async () => {
    const { port } = await setup.http((request, response) => request.pipe(response))
    const egress = await setup.egress(port)
    const old = await egress.token({
      destinations: [`api.test:${port}`],
      ttlMs: 60_000,
      atMs: Date.now() - 3_600_000,
    })
    const good = await egress.token({ destinations: [`api.test:${port}`] })
    const tokens = fixedTokens(old, good)
    const world = await relayTo(egress, port, { tokens })
    const answer = await sendRaw(
      world.port,
      `${get(port, `${world.credential}Content-Length: 4\r\n`, '/', 'POST')}body`,
    )
    assert.equal(statusOf(answer), 200, answer)
    assert.match(answer, /\r\nbody\r\n/)
    assert.deepEqual(tokens.refused, [old])
    const tunnel = fixedTokens(old, good)
    const other = await relayTo(egress, port, { tokens: tunnel })
    const client = await rawClient(other.port)
    client.send(connectTo(port, other.credential))
    assert.match(await client.until((text) => text.includes('\r\n\r\n')), /^HTTP\/1\.1 200 /)
    client.socket.destroy()
  })
})
