/** What is open ends for a reason, and each reason is told apart, in the audit record and in the metric. */
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { EGRESS_AUDIENCE } from '@clawmesh/proto'
import { createLimits } from '../../../../mesh-gateway/src/limits/create-limits.ts'
import type { Limits } from '../../../../mesh-gateway/src/limits/limits.ts'
import { NO_REVOCATIONS } from '../../../../mesh-gateway/src/revocation/revocations.ts'
import { withGrounds } from '../../../../mesh-gateway/src/tokens/token-grounds.ts'
import { waitFor } from '../../../support/wait-for.ts'
import {
  type Fixture,
  type FixtureOptions,
  type RawClient,
  rawClient,
  sendRaw,
  type Upstream,
} from '../fixture.ts'
import { basic, connectTo, get, setUp } from '../setup.ts'

const CLOSE = 'Connection: close\r\n'
const ROOT = 'txn-of-the-tree'

function echo(socket: Socket): void {
  socket.on('data', (data: Buffer) => {
    if (data.includes('GET /stream')) {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n')
    } else if (!data.includes('GET /silent')) socket.write(data)
  })
  socket.on('end', () => socket.end())
}

/** Revocations that a test makes. */
function revocable() {
  const listeners = new Set<() => void>()
  const revoked = { token: false, chain: false }
  const answer = { code: 'MESH_CHAIN_REVOKED' as const, message: 'revoked', what: 'txn' as const }
  return {
    revocations: {
      ...NO_REVOCATIONS,
      token: (jti: string) => (revoked.token ? { ...answer, message: jti } : null),
      chain: (txn: string) => (revoked.chain && txn === ROOT ? answer : null),
      onChange(listener: () => void) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    },
    revoke(what: 'token' | 'chain') {
      revoked[what] = true
      for (const listener of listeners) listener()
    },
  }
}

describe('what is open on the egress port', function () {
  this.timeout(60_000)
  const setup = setUp()
  afterEach(setup.close)

  interface World {
    readonly egress: Fixture
    readonly upstream: Upstream
    readonly port: number
    auth(agent?: string): Promise<string>
    /** A tunnel in which something has been said. */
    tunnel(agent?: string): Promise<RawClient>
    /** An answer that has begun and goes on. */
    stream(agent?: string): Promise<RawClient>
    change(egress: object): void
  }

  async function open(policy: object = {}, options: FixtureOptions = {}): Promise<World> {
    const upstream = await setup.upstream(echo)
    const { port } = upstream
    const egress = await setup.egress(port, { ...options, egress: policy })
    const auth = async (agent = 'bot-01') =>
      basic(await egress.token({ agent, destinations: [`api.test:${port}`] }), agent)
    const start = async (text: string, done: string) => {
      const client = await rawClient(egress.number)
      setup.closing.push(async () => void client.socket.destroy())
      client.send(text)
      await client.until((got) => got.endsWith(done))
      return client
    }
    return {
      ...{ egress, upstream, port, auth },
      tunnel: async (agent) => await start(`${connectTo(port, await auth(agent))}x`, '\r\n\r\nx'),
      stream: async (agent) => await start(get(port, await auth(agent), '/stream'), 'begun\r\n'),
      change: (rules) =>
        egress.setPolicy({ allow: [`api.test:${port}`], ...rules }, { ports: [80, 443, port] }),
    }
  }

  async function cuts(egress: Fixture): Promise<Record<string, number>> {
    const lines = (await egress.metrics()).matchAll(
      /^clawmesh_streams_cut_total\{plane="egress",reason="(\w+)"\} (\d+)$/gm,
    )
    return Object.fromEntries([...lines].map(([, reason, count]) => [reason, Number(count)]))
  }
  const speaks = async (client: RawClient) => {
    const { length } = client.received()
    client.send('still here')
    await client.until((text) => text.endsWith('still here') && text.length > length)
  }

  describe('ends when policy allows fewer at once than there are', () => {
    it('the youngest tunnels first, and those that are within it go on', async () => {
      const world = await open({ limits: { concurrentTunnels: 5 } })
      const clients: RawClient[] = []
      for (let i = 0; i < 5; i += 1) clients.push(await world.tunnel())
      const other = await world.tunnel('bot-02')
      world.change({ limits: { concurrentTunnels: 2 } })
      await Promise.all(clients.slice(2).map((client) => client.rest()))
      for (const client of [...clients.slice(0, 2), other]) await speaks(client)
      await world.egress.record(2)
      assert.deepEqual(
        world.egress.records.map(({ reason, agent_id }) => `${agent_id} ${reason}`),
        Array.from({ length: 3 }, () => 'bot-01 MESH_LIMIT_CONCURRENCY'),
      )
      assert.deepEqual(await cuts(world.egress), { MESH_LIMIT_CONCURRENCY: 3 })
      assert.match(
        await sendRaw(world.egress.number, connectTo(world.port, await world.auth())),
        /429 MESH_LIMIT_CONCURRENCY 2 tunnels at once/,
      )
    })

    it('requests too: by a reset when the answer has begun, with 429 and a time when it has not', async () => {
      const world = await open({})
      const first = await world.stream()
      const second = await world.stream()
      const third = await rawClient(world.egress.number)
      third.send(get(world.port, (await world.auth()) + CLOSE, '/silent'))
      await waitFor('the third', () => world.upstream.connections.length === 3)
      const tunnel = await world.tunnel()
      world.change({ limits: { concurrentRequests: 1 } })
      const answer = await third.rest()
      assert.match(answer, /^HTTP\/1\.1 429 [\s\S]*retry-after: 1\r\n/)
      assert.match(answer, /"gate":"limits"/)
      third.socket.destroy()
      await second.rest()
      await speaks(tunnel)
      assert.equal(first.socket.destroyed, false)
      await world.egress.record(1)
      assert.deepEqual(
        world.egress.records.map(({ reason }) => reason),
        ['MESH_LIMIT_CONCURRENCY', 'MESH_LIMIT_CONCURRENCY'],
      )
      assert.deepEqual(await cuts(world.egress), { MESH_LIMIT_CONCURRENCY: 2 })
    })

    it('of all agents of the tenant together, whoever came last', async () => {
      const world = await open()
      const first = await world.tunnel('bot-01')
      const second = await world.tunnel('bot-02')
      const third = await world.tunnel('bot-01')
      const fourth = await world.tunnel('bot-03')
      world.change({ tenantLimits: { concurrentTunnels: 3 }, limits: { concurrentTunnels: 1 } })
      // the third is beyond what its agent may, so the fourth is within what the tenant may
      await third.rest()
      for (const client of [first, second, fourth]) await speaks(client)
      world.change({ tenantLimits: { concurrentTunnels: 1 } })
      await Promise.all([second.rest(), fourth.rest()])
      await speaks(first)
    })

    it('and what goes on is counted though nothing was when it began', async () => {
      const world = await open()
      const first = await world.tunnel()
      const second = await world.tunnel()
      const limits = { concurrentTunnels: 2 }
      const refused = async () =>
        (await sendRaw(world.egress.number, connectTo(world.port, await world.auth()))).startsWith(
          'HTTP/1.1 429 ',
        )
      world.change({ limits, tenantLimits: { concurrentTunnels: 3 } })
      assert.ok(await refused(), 'two are open')
      // the same policy read again counts nothing twice
      world.change({ limits, tenantLimits: { concurrentTunnels: 3 } })
      first.socket.end()
      await world.egress.record(1)
      const third = await world.tunnel()
      assert.ok(await refused())
      for (const client of [second, third]) client.socket.end()
      await world.egress.record(4)
      for (const client of [await world.tunnel(), await world.tunnel()]) await speaks(client)
    })

    it('one after another where Redis is asked, and what ends meanwhile is not left counted', async () => {
      const counted = createLimits()
      let asking = 0
      let most = 0
      const asked: (() => void)[] = []
      const limits: Limits = {
        take: counted.take,
        async enter(key, max) {
          asking += 1
          most = Math.max(most, asking)
          await new Promise<void>((resolve) => asked.push(resolve))
          asking -= 1
          return counted.enter(key, max)
        },
      }
      const world = await open({}, { port: { limits } })
      const clients: RawClient[] = []
      for (let i = 0; i < 4; i += 1) clients.push(await world.tunnel())
      world.change({ limits: { concurrentTunnels: 4 } })
      for (const [index, client] of clients.entries()) {
        await waitFor('Redis to be asked', () => asked.length === 1)
        // the first ends while it is asked about
        if (index === 0) client.socket.end()
        if (index === 0) await world.egress.record(0)
        asked.shift()?.()
      }
      await waitFor('all answers', () => asking === 0)
      assert.equal(most, 1)
      const key = 'egress-tunnels:acme/bot-01'
      assert.equal(counted.enter(key, 3), null, 'three are inside')
      assert.ok(counted.enter(key, 4), 'and no more')
      for (const client of clients) client.socket.destroy()
    })

    it('and one that was being connected while policy changed is no exception', async () => {
      const answers: (() => void)[] = []
      const resolver = {
        async addresses() {
          await new Promise<void>((resolve) => answers.push(resolve))
          return [{ ip: '127.0.0.1', ttlMs: 1000 }]
        },
        services: () => Promise.reject(new Error('nobody asks')),
        close() {},
      }
      const world = await open({ limits: { concurrentTunnels: 50 } }, { port: { resolver } })
      const tunnels = Array.from({ length: 50 }, () => world.tunnel())
      const outcomes = tunnels.map((one) =>
        one.then(speaks).then(
          () => 'open',
          () => 'ended',
        ),
      )
      await waitFor('all to ask', () => answers.length === 50)
      world.change({ limits: { concurrentTunnels: 3 } })
      for (const answer of answers) answer()
      await world.egress.record(46)
      assert.ok(world.egress.records.every(({ reason }) => reason === 'MESH_LIMIT_CONCURRENCY'))
      assert.equal((await cuts(world.egress)).MESH_LIMIT_CONCURRENCY, 47)
      assert.equal(world.egress.records.length, 47)
      world.egress.port.endTunnels(() => 'MESH_TOKEN_REVOKED')
      await Promise.all(outcomes)
    })
  })

  describe('says why it ended, in the record and in the metric:', () => {
    const { revocations, revoke } = revocable()
    let skewMs = 0
    const table: [
      why: string,
      code: string,
      options: FixtureOptions,
      cause: (world: World) => unknown,
    ][] = [
      [
        'silence',
        'MESH_EGRESS_IDLE',
        { port: { timeouts: { idleMs: 500, answerMs: 500 } } },
        () => {},
      ],
      [
        'a token that has expired',
        'MESH_TOKEN_EXPIRED',
        { port: { now: () => Date.now() + skewMs } },
        () => {
          skewMs = 16 * 60_000
        },
      ],
      [
        'a token that was taken back',
        'MESH_TOKEN_REVOKED',
        { port: { revocations } },
        () => revoke('token'),
      ],
      [
        'an address that is refused',
        'MESH_EGRESS_ADDRESS_REFUSED',
        {},
        ({ egress, port }) =>
          egress.setPolicy(
            { allow: [`api.test:${port}`] },
            { ports: [port], denyCidrs: ['127.0.0.0/8'] },
          ),
      ],
      [
        'a rule that has gone',
        'MESH_POLICY_NOT_ALLOWED',
        {},
        ({ change }) => change({ allow: [] }),
      ],
      ['a deny rule', 'MESH_POLICY_DENIED', {}, ({ change }) => change({ deny: ['api.test'] })],
      [
        'a limit',
        'MESH_LIMIT_CONCURRENCY',
        {},
        ({ change }) => change({ limits: { concurrentTunnels: 1 } }),
      ],
      ['a drain', 'MESH_GATEWAY_DRAINING', {}, ({ egress }) => egress.port.drain(20)],
    ]
    for (const [why, code, options, cause] of table)
      it(why, async () => {
        const world = await open({}, options)
        // for the limit there must be one that is older
        const older = code === 'MESH_LIMIT_CONCURRENCY' ? await world.tunnel() : null
        const client = await world.tunnel()
        await cause(world)
        await client.rest()
        const record = await world.egress.record(0)
        assert.equal(record.reason, code)
        assert.equal(record.status, 200)
        assert.equal(record.bytes_up, 1)
        assert.deepEqual(await cuts(world.egress), { [code]: 1 })
        older?.socket.destroy()
      })

    it('an ancestor in the chain, or its tree, that was revoked', async () => {
      const { revocations: tree, revoke: cut } = revocable()
      const nowSeconds = Math.floor(Date.now() / 1000)
      const { port } = await setup.upstream(echo)
      const egress = await setup.egress(port, {
        port: {
          revocations: tree,
          verifyToken: () =>
            withGrounds(
              {
                ...{ iss: 'https://gateway.mesh.internal', aud: EGRESS_AUDIENCE, jti: 'j' },
                ...{ sub: 'spiffe://mesh.internal/tenant/acme/agent/bot-01', agent_id: 'bot-01' },
                ...{ tenant: 'acme', allowed_destinations: [`api.test:${port}`], txn: ROOT },
                ...{ iat: nowSeconds, nbf: nowSeconds, exp: nowSeconds + 900 },
                act: { sub: 'spiffe://mesh.internal/tenant/acme/agent/planner' },
              },
              null,
              0,
            ),
        },
      })
      const client = await rawClient(egress.number)
      client.send(`${connectTo(port, basic('any'))}x`)
      await client.until((text) => text.endsWith('\r\n\r\nx'))
      cut('chain')
      await client.rest()
      assert.equal((await egress.record(0)).reason, 'MESH_CHAIN_REVOKED')
      assert.deepEqual(await cuts(egress), { MESH_CHAIN_REVOKED: 1 })
    })

    it('an end that both sides wanted is none that is counted', async () => {
      const world = await open()
      const client = await world.tunnel()
      client.socket.end()
      await client.rest()
      assert.equal((await world.egress.record(0)).reason, null)
      assert.deepEqual(await cuts(world.egress), {})
    })
  })
})
