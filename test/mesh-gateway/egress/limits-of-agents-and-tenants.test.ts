/** What an agent may ask for and have open, and what all agents of its tenant may together: in memory, and in a Redis that gateways share. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { silentLog } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import { createLimits } from '../../../mesh-gateway/src/limits/create-limits.ts'
import type { Limits } from '../../../mesh-gateway/src/limits/limits.ts'
import { openLimits } from '../../../mesh-gateway/src/limits/open-limits.ts'
import { createResolver } from '../../../mesh-gateway/src/resolve/create-resolver.ts'
import { startDnsDouble } from '../../support/dns-double.ts'
import { needProgram } from '../../support/need-program.ts'
import { type RedisServer, startRedisServer } from '../../support/redis-server.ts'
import { waitFor } from '../../support/wait-for.ts'
import { type Fixture, type RawClient, rawClient, refusalOf, sendRaw } from './fixture.ts'
import { basic, connectTo, get, SWITCH, setUp, UPGRADE } from './setup.ts'

const CLOSE = 'Connection: close\r\n'

/** Streams for as long as it is asked to at /stream, becomes a WebSocket of sorts at /socket, else answers at once. */
function serve(request: IncomingMessage, response: ServerResponse): void {
  if (request.url === '/stream') response.write('begun')
  else request.resume().on('end', () => response.end('ok'))
}

describe('the limits of the egress port', function () {
  this.timeout(60_000)
  const setup = setUp()
  let redis: RedisServer | undefined
  let prefixes = 0
  after(() => redis?.close())
  afterEach(setup.close)

  async function shared(context: Mocha.Context, prefix: string): Promise<Limits> {
    needProgram(context, 'redis-server')
    redis ??= await startRedisServer()
    const credentials = { username: null, passwordFile: null, caFile: null }
    const { limits, close } = await openLimits(
      {
        redis: { ...credentials, url: redis.url, prefix },
        whenRedisIsAway: 'refuse',
        maxTrees: 1_000,
      },
      {
        counting: null,
        delegationTtlMs: () => 60_000,
        metrics: { limitsStore() {}, limitsWithoutStore() {} },
        log: silentLog,
      },
    )
    setup.closing.push(close)
    return limits
  }

  async function open(policy: object, limits: Limits = createLimits()) {
    const { port, server } = await setup.http(serve)
    server.on('upgrade', (_, socket) => {
      socket.on('error', () => {})
      socket.write(SWITCH)
      socket.pipe(socket)
    })
    const egress = await setup.egress(port, { egress: policy, port: { limits } })
    const destinations = [`api.test:${port}`, 'gone.test']
    const auth = async (agent: string) => basic(await egress.token({ agent, destinations }), agent)
    const [one, two] = [await auth('bot-01'), await auth('bot-02')]
    return { egress, port, server, one, two }
  }

  /** A request whose answer has begun, and goes on. */
  async function stream(egress: Fixture, port: number, auth: string): Promise<RawClient> {
    const client = await rawClient(egress.number)
    client.send(get(port, auth, '/stream'))
    await client.until((text) => text.includes('begun'))
    return client
  }
  const end = async (egress: Fixture, client: RawClient) => {
    const { length } = egress.records
    client.socket.resetAndDestroy()
    await egress.record(length)
  }
  const tooMany = (answer: string, whose: RegExp) => {
    assert.match(answer, /^HTTP\/1\.1 429 /)
    assert.match(answer, /retry-after: 1\r\n/)
    const refusal = refusalOf(answer)
    assert.equal(refusal.code, 'MESH_LIMIT_CONCURRENCY')
    assert.equal(refusal.gate, 'limits')
    assert.match(refusal.reason, whose)
  }

  for (const kind of ['memory', 'Redis'] as const)
    describe(`in ${kind}`, () => {
      let limits: Limits
      beforeEach(async function () {
        prefixes += 1
        limits = kind === 'memory' ? createLimits() : await shared(this, `test-${prefixes}:`)
      })

      it('hold an agent to so many requests at once, a streaming answer while it flows, and no other agent', async () => {
        const { egress, port, one, two } = await open({ limits: { concurrentRequests: 2 } }, limits)
        const first = await stream(egress, port, one)
        const second = await stream(egress, port, one)
        tooMany(
          await sendRaw(egress.number, get(port, one + CLOSE)),
          /^2 requests at once are allowed to this agent$/,
        )
        assert.match(await sendRaw(egress.number, get(port, two + CLOSE)), /^HTTP\/1\.1 200 /)
        await end(egress, first)
        await waitFor('room', async () =>
          (await sendRaw(egress.number, get(port, one + CLOSE))).startsWith('HTTP/1.1 200 '),
        )
        await end(egress, second)
      })

      it('hold all agents of a tenant together, and leave nothing of who was refused', async () => {
        const policy = {
          limits: { concurrentRequests: 1 },
          tenantLimits: { concurrentRequests: 1 },
        }
        const { egress, port, one, two } = await open(policy, limits)
        const first = await stream(egress, port, one)
        for (let i = 0; i < 3; i += 1)
          tooMany(
            await sendRaw(egress.number, get(port, two + CLOSE)),
            /^1 requests at once are allowed to its tenant$/,
          )
        // who asked for it all along is told of its own limit first
        tooMany(await sendRaw(egress.number, get(port, one + CLOSE)), /to this agent$/)
        await end(egress, first)
        await waitFor('room', async () =>
          (await sendRaw(egress.number, get(port, two + CLOSE))).startsWith('HTTP/1.1 200 '),
        )
      })

      it('count tunnels and WebSockets together, and requests apart from them', async () => {
        const policy = { tenantLimits: { concurrentTunnels: 2, concurrentRequests: 1 } }
        const { egress, port, one, two } = await open(policy, limits)
        const tunnel = await rawClient(egress.number)
        tunnel.send(connectTo(port, one))
        await tunnel.until((text) => text.includes('200 Connection established'))
        const socket = await rawClient(egress.number)
        socket.send(get(port, two + UPGRADE, '/socket'))
        await socket.until((text) => text.includes('101 Switching Protocols'))
        socket.send('hello')
        await socket.until((text) => text.endsWith('hello'))
        const refused = /^2 tunnels at once are allowed to its tenant$/
        tooMany(await sendRaw(egress.number, connectTo(port, two)), refused)
        const last = UPGRADE.replace('Upgrade', 'Upgrade, close')
        tooMany(await sendRaw(egress.number, get(port, two + last, '/socket')), refused)
        assert.match(await sendRaw(egress.number, get(port, two + CLOSE)), /^HTTP\/1\.1 200 /)
        await end(egress, socket)
        await waitFor('room', async () => {
          const answer = await rawClient(egress.number)
          answer.send(connectTo(port, two))
          const text = await answer.until((got) => got.includes('\r\n\r\n'))
          answer.socket.destroy()
          return text.includes('200 Connection established')
        })
        tunnel.socket.destroy()
      })

      it('hold all agents of a tenant to one rate, each to its own first', async () => {
        const policy = {
          limits: { requestsPerMinute: 2, burst: 2 },
          tenantLimits: { requestsPerMinute: 3, burst: 3 },
        }
        const { egress, port, one, two } = await open(policy, limits)
        const ask = async (auth: string) => await sendRaw(egress.number, get(port, auth + CLOSE))
        assert.match(await ask(one), /^HTTP\/1\.1 200 /)
        assert.match(await ask(one), /^HTTP\/1\.1 200 /)
        const own = await ask(one)
        assert.match(own, /^HTTP\/1\.1 429 [\s\S]*retry-after: (?:30|29)\r\n/)
        assert.equal(refusalOf(own).reason, '2 requests per minute are allowed to this agent')
        assert.match(await ask(two), /^HTTP\/1\.1 200 /)
        const all = await ask(two)
        assert.match(all, /^HTTP\/1\.1 429 [\s\S]*retry-after: (?:20|19)\r\n/)
        assert.equal(refusalOf(all).reason, '3 requests per minute are allowed to its tenant')
        assert.equal(refusalOf(all).code, 'MESH_RATE_LIMITED')
      })

      it('are left on every path: whatever becomes of a request, the next one finds room', async () => {
        const one = { concurrentRequests: 1, concurrentTunnels: 1 }
        const policy = {
          allow: ['gone.test'],
          limits: one,
          tenantLimits: { ...one, maxBodyBytes: 4 },
        }
        const world = await open(policy, limits)
        const { egress, port, server } = world
        egress.setPolicy(
          { ...policy, allow: [`api.test:${port}`, 'gone.test'] },
          { ports: [80, port] },
        )
        const auth = world.one
        const posts = `${auth}Transfer-Encoding: chunked\r\n`
        const bad: [what: string, request: string, status: RegExp][] = [
          ['a refused name', get(port, auth + CLOSE).replaceAll('api.test', 'evil.test'), /403/],
          [
            'a name that is none',
            `GET http://gone.test/ HTTP/1.1\r\nHost: gone.test\r\n${auth}${CLOSE}\r\n`,
            /502/,
          ],
          ['a tunnel to it', connectTo(80, auth, 'gone.test'), /502/],
          [
            'a body too large',
            `${get(port, `${auth}${CLOSE}Content-Length: 5\r\n`, '/', 'POST')}`,
            /413/,
          ],
          [
            'one that turns out so',
            `${get(port, posts, '/', 'POST')}5\r\n01234\r\n0\r\n\r\n`,
            /413/,
          ],
        ]
        const works = () =>
          waitFor('room', async () =>
            (await sendRaw(egress.number, get(port, auth + CLOSE))).startsWith('HTTP/1.1 200 '),
          )
        for (const [what, request, status] of bad)
          for (let i = 0; i < 2; i += 1) {
            const answer = await sendRaw(egress.number, request)
            assert.match(answer.slice(0, 15), status, `${what}: ${answer}`)
          }
        await works()
        // a client that goes away while it is answered
        await end(egress, await stream(egress, port, auth))
        await works()
        // a destination that goes away while it answers
        const client = await stream(egress, port, auth)
        server.closeAllConnections()
        await client.rest()
        client.socket.destroy()
        await works()
      })
    })

  it('are shared between two gateways that count in Redis', async function () {
    prefixes += 1
    const prefix = `test-${prefixes}:`
    const policy = { tenantLimits: { concurrentRequests: 2 } }
    const a = await open(policy, await shared(this, prefix))
    const b = await open(policy, await shared(this, prefix))
    const first = await stream(a.egress, a.port, a.one)
    const second = await stream(b.egress, b.port, b.two)
    tooMany(await sendRaw(a.egress.number, get(a.port, a.two + CLOSE)), /to its tenant$/)
    tooMany(await sendRaw(b.egress.number, get(b.port, b.one + CLOSE)), /to its tenant$/)
    await end(b.egress, second)
    await waitFor('room', async () =>
      (await sendRaw(a.egress.number, get(a.port, a.two + CLOSE))).startsWith('HTTP/1.1 200 '),
    )
    first.socket.destroy()
  })

  it('that cannot be judged for the tenant leave nothing of the agent behind', async () => {
    const counted = createLimits()
    let away = true
    const limits: Limits = {
      take: counted.take,
      enter(key, max) {
        if (away && !key.includes('/'))
          return Promise.reject(
            new MeshError('MESH_LIMIT_UNAVAILABLE', undefined, { retryAfterMs: 1_000 }),
          )
        return counted.enter(key, max)
      },
    }
    const one = { concurrentRequests: 1 }
    const { egress, port, one: auth } = await open({ limits: one, tenantLimits: one }, limits)
    for (let i = 0; i < 3; i += 1) {
      const answer = await sendRaw(egress.number, get(port, auth + CLOSE))
      assert.match(answer, /^HTTP\/1\.1 503 [\s\S]*retry-after: 1\r\n/)
      assert.equal(refusalOf(answer).code, 'MESH_LIMIT_UNAVAILABLE')
    }
    away = false
    assert.match(await sendRaw(egress.number, get(port, auth + CLOSE)), /^HTTP\/1\.1 200 /)
  })

  it('of the tenant hold for a body whatever the agent may by itself, and it is said whose it is', async () => {
    const agents = { 'bot-01': { limits: { maxBodyBytes: 1000 } } }
    const policy = { limits: { maxBodyBytes: 5 }, agents, tenantLimits: { maxBodyBytes: 10 } }
    const { egress, port, one, two } = await open(policy)
    const post = (auth: string, bytes: number) =>
      `${get(port, `${auth}${CLOSE}Content-Length: ${bytes}\r\n`, '/', 'POST')}${'x'.repeat(bytes)}`
    const chunked = (auth: string) =>
      `${get(port, `${auth}Transfer-Encoding: chunked\r\n`, '/', 'POST')}b\r\n01234567890\r\n0\r\n\r\n`
    assert.match(await sendRaw(egress.number, post(one, 10)), /^HTTP\/1\.1 200 /)
    for (const request of [post(one, 11), chunked(one)]) {
      const { code, reason } = refusalOf(await sendRaw(egress.number, request))
      assert.equal(code, 'MESH_LIMIT_SIZE')
      assert.equal(reason, 'the body is larger than the 10 bytes allowed to its tenant')
    }
    for (const request of [post(two, 6), chunked(two)])
      assert.equal(
        refusalOf(await sendRaw(egress.number, request)).reason,
        'the body is larger than the 5 bytes allowed to this agent',
      )
  })

  it('hold an agent to so many names that wait for DNS, which others do not feel', async () => {
    const dns = await startDnsDouble((name) =>
      name.endsWith('.evil.test') ? null : { ips: ['127.0.0.1'], ttl: 30 },
    )
    // longer than a busy machine takes for 300 requests: all of them wait at once
    const resolver = createResolver({ servers: [dns.server], maxQueries: 8, timeoutMs: 60_000 })
    setup.closing.push(dns.close, async () => resolver.close())
    const { port } = await setup.http(serve)
    const allow = [`api.test:${port}`, '*.evil.test']
    const egress = await setup.egress(port, { egress: { allow }, port: { resolver } })
    const destinations = [`api.test:${port}`, '*.evil.test']
    const auth = async (agent: string) => basic(await egress.token({ agent, destinations }), agent)
    const [evil, good] = [await auth('bot-01'), await auth('bot-02')]
    const ask = async (i: number) => {
      const host = `n${i}.evil.test`
      return await sendRaw(
        egress.number,
        `GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n${evil}${CLOSE}\r\n`,
      )
    }
    const answers: string[] = []
    for (let i = 0; i < 300; i += 1) void ask(i).then((answer) => answers.push(answer))
    await waitFor('the refusals', () => answers.length >= 300 - 256 - 2)
    const [first = ''] = answers
    assert.match(first, /^HTTP\/1\.1 429 [\s\S]*retry-after: 1\r\n/)
    const { code, gate, reason } = refusalOf(first)
    assert.deepEqual([code, gate], ['MESH_LIMIT_CONCURRENCY', 'limits'])
    assert.equal(reason, 'too many names of this agent wait to be resolved')
    assert.match(await sendRaw(egress.number, get(port, good + CLOSE)), /^HTTP\/1\.1 200 /)
    assert.equal(answers.length, 300 - 256 - 2)
    assert.ok(answers.every((answer) => refusalOf(answer).code === 'MESH_LIMIT_CONCURRENCY'))
  })

  it('let in no more than allowed, however many ask at once', async () => {
    const policy = { limits: { concurrentRequests: 50 }, tenantLimits: { concurrentRequests: 20 } }
    const { egress, port, one, two } = await open(policy)
    const clients = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const client = await rawClient(egress.number)
        client.send(get(port, i % 2 === 0 ? one : two, '/stream'))
        const text = await client.until((got) => /begun|allowed to its tenant/.test(got))
        return { client, entered: text.includes('begun') }
      }),
    )
    assert.equal(clients.filter(({ entered }) => entered).length, 20)
    const closed = clients.map(({ client }) => once(client.socket, 'close'))
    for (const { client } of clients) client.socket.destroy()
    await Promise.all(closed)
  })
})
