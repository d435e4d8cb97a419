/** Requests that are refused count: against the agent, and against the address while nobody is known. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { MeshError } from '@clawmesh/proto'
import { createRefusalBudgets } from '../../../mesh-gateway/src/limits/refusal-budget.ts'
import type { FixtureOptions } from './fixture.ts'
import { basic, get, setUp } from './setup.ts'

const CLOSE = 'Connection: close\r\n'

describe('refused requests', () => {
  const setup = setUp()
  const sockets: Socket[] = []
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy()
    await setup.close()
  })

  async function open(limits: object = {}, port: FixtureOptions['port'] = {}) {
    const clock = { ms: 0 }
    const counted = { verified: 0 }
    const origin = await setup.http((_request, response) => response.end('ok'))
    const refusals = createRefusalBudgets({ now: () => clock.ms })
    const egress = await setup.egress(origin.port, {
      egress: { limits },
      port: {
        refusals,
        issueForAccountKey: () => Promise.reject(new MeshError('MESH_ACCOUNT_KEY_INVALID')),
        ...port,
      },
      onVerify: () => (counted.verified += 1),
    })
    const token = await egress.token({ destinations: [`api.test:${origin.port}`, 'evil.test'] })
    const dial = (localAddress = '127.0.0.1') => {
      const socket = connect({ host: '127.0.0.1', port: egress.number, localAddress })
      sockets.push(socket)
      return socket.on('error', () => {})
    }
    /** One request on a connection of its own; resolves with the status and the whole answer. */
    const ask = async (request: string, localAddress?: string) => {
      const socket = dial(localAddress)
      socket.write(request, 'latin1')
      const answer = await text(socket)
      return { status: Number(answer.slice(9, 12)), answer }
    }
    /** On one connection, again and again; resolves with how often each status came. */
    const repeat = async (times: number, request: string, localAddress?: string) => {
      const socket = dial(localAddress)
      const counts = new Map<number, number>()
      for (let count = 0; count < times; count += 1) {
        socket.write(request, 'latin1')
        const [data] = await once(socket, 'data')
        const status = Number(String(data).slice(9, 12))
        counts.set(status, (counts.get(status) ?? 0) + 1)
      }
      socket.destroy()
      return counts
    }
    const good = get(origin.port, basic(token))
    const denied = get(443, basic(token)).replaceAll('api.test', 'evil.test')
    return { egress, origin: origin.port, token, clock, counted, dial, ask, repeat, good, denied }
  }

  it('count against the rate of their agent, as any other', async () => {
    const { repeat, denied, good, ask } = await open({ requestsPerMinute: 60, burst: 60 })
    const counts = await repeat(70, denied)
    assert.ok((counts.get(429) ?? 0) >= 9, JSON.stringify([...counts]))
    assert.ok((counts.get(403) ?? 0) >= 60)
    const { status, answer } = await ask(good.replace('\r\n\r\n', `\r\n${CLOSE}\r\n`))
    assert.equal(status, 429)
    assert.match(answer, /\r\nretry-after: 1\r\n/)
  })

  it('of an agent without a rate are bounded, and what is let through costs nothing', async () => {
    const { repeat, denied, good, clock } = await open()
    assert.deepEqual([...(await repeat(300, good))], [[200, 300]])
    assert.deepEqual(
      [...(await repeat(150, denied))],
      [
        [403, 100],
        [429, 50],
      ],
    )
    // not for long: ten a second come back
    clock.ms = 1_000
    assert.deepEqual([...(await repeat(1, good))], [[200, 1]])
    assert.deepEqual(
      [...(await repeat(12, denied))],
      [
        [403, 10],
        [429, 2],
      ],
    )
  })

  it('of one agent are not held against another', async () => {
    const { egress, repeat, denied, ask, origin } = await open()
    await repeat(101, denied)
    const other = await egress.token({ agent: 'bot-02', destinations: [`api.test:${origin}`] })
    assert.equal((await ask(get(origin, basic(other, 'bot-02') + CLOSE))).status, 200)
  })

  it('of tasks that one agent gave are held neither against those of another, nor against its own work', async () => {
    const { egress, repeat, good, origin } = await open()
    const within = async (agent: string, host = `api.test:${origin}`) =>
      basic(
        await egress.token({
          destinations: [host],
          chain: {
            act: { sub: `spiffe://mesh.internal/tenant/acme/agent/${agent}` },
            txn: `tree-of-${agent}`,
            exp: Math.floor(Date.now() / 1000) + 60,
            allowedDestinations: null,
          },
        }),
      )
    const denied = get(443, await within('planner', 'evil.test')).replaceAll(
      'api.test',
      'evil.test',
    )
    const refused = [...(await repeat(101, denied))]
    assert.deepEqual(refused, [
      [403, 100],
      [429, 1],
    ])
    assert.deepEqual([...(await repeat(1, get(origin, await within('planner'))))], [[429, 1]])
    assert.deepEqual([...(await repeat(1, get(origin, await within('writer'))))], [[200, 1]])
    assert.deepEqual([...(await repeat(1, good))], [[200, 1]])
  })

  it('for bad tokens are bounded before a signature is verified', async () => {
    const { repeat, origin, token, counted, clock, ask } = await open()
    const bad = get(origin, basic(`${token.slice(0, -8)}AAAAAAAA`))
    const counts = await repeat(300, bad)
    assert.deepEqual(
      [...counts],
      [
        [403, 100],
        [429, 200],
      ],
    )
    assert.equal(counted.verified, 100)
    const { answer } = await ask(bad.replace('\r\n\r\n', `\r\n${CLOSE}\r\n`))
    assert.match(answer, /^HTTP\/1\.1 429 [\s\S]*\r\nretry-after: 1\r\n[\s\S]*this address/)
    clock.ms = 100
    assert.equal((await ask(bad.replace('\r\n\r\n', `\r\n${CLOSE}\r\n`))).status, 403)
  })

  it('of one address hurt neither another address, nor who is known there already', async () => {
    const { repeat, origin, ask, dial, egress, good } = await open()
    const known = dial()
    known.write(good)
    await once(known, 'data')
    const bad = get(origin, basic('a.b.c'))
    await repeat(150, bad)
    // a token that nobody remembers, from elsewhere, and over a connection whose last token was good
    const fresh = async () =>
      get(origin, basic(await egress.token({ destinations: [`api.test:${origin}`] })))
    assert.equal(
      (await ask((await fresh()).replace('\r\n\r\n', `\r\n${CLOSE}\r\n`), '127.60.0.1')).status,
      200,
    )
    known.write(await fresh())
    const [data] = await once(known, 'data')
    assert.match(String(data), /^HTTP\/1\.1 200 /)
    // one that is remembered passes over any connection, and makes it a known one
    assert.deepEqual([...(await repeat(5, good))], [[200, 5]])
    // one bad token, and the connection is a stranger's again
    known.write(bad)
    assert.match(String((await once(known, 'data'))[0]), /^HTTP\/1\.1 403 /)
    known.write(bad)
    assert.match(String((await once(known, 'data'))[0]), /^HTTP\/1\.1 429 /)
  })

  it('for want of a token cost a tenth: clients that ask without one first are served', async () => {
    const { repeat, origin, ask } = await open()
    const absolute = await repeat(1_100, get(origin, ''))
    assert.ok((absolute.get(407) ?? 0) >= 990, JSON.stringify([...absolute]))
    assert.ok((absolute.get(429) ?? 0) >= 90)
    // what tells of the gateway's health is always answered
    assert.equal((await ask(`GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n`)).status, 200)
  })

  it('for bad keys of service accounts are bounded too', async () => {
    const { repeat } = await open()
    const request =
      'POST /v1/token HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer cmsa_x\r\nContent-Length: 0\r\n\r\n'
    const counts = await repeat(120, request)
    assert.deepEqual(
      [...counts],
      [
        [401, 100],
        [429, 20],
      ],
    )
  })
})
