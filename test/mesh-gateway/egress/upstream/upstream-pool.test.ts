/** Connections that are kept for the next request: which are, for how long, and which carry it. */
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { createSecureContext } from 'node:tls'
import { planDial } from '../../../../mesh-gateway/src/egress/upstream/dial.ts'
import {
  createUpstreamPool,
  type TakeOptions,
  type UpstreamPool,
  type UpstreamPoolOptions,
} from '../../../../mesh-gateway/src/egress/upstream/upstream-pool.ts'
import { compileAddressRules } from '../../../../mesh-gateway/src/net/address-rules.ts'
import { judgeAddresses } from '../../../../mesh-gateway/src/net/judge-addresses.ts'
import { createReadBuffers } from '../../../../mesh-gateway/src/process/node-internals/read-buffers.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { setUp } from '../setup.ts'

const NO_LIMITS = {
  ...{ requestsPerMinute: null, burst: null, concurrentTunnels: null },
  ...{ concurrentRequests: null, maxBodyBytes: null },
}
const ALLOWED = {
  ...({ action: 'allow', code: null, rule: 'r', hint: null, mode: 'enforce' } as const),
  scheme: 'http',
  ...{ withoutServerName: false, path: null, limits: NO_LIMITS, tenantLimits: null },
} as const
/** What a request is given to use. */
type Upstream = Exclude<Awaited<ReturnType<UpstreamPool['take']>>, { readonly refused: unknown }>
const CLIENT = { closed: false, onClosed() {} }

describe('the pool of connections to destinations', () => {
  const setup = setUp()
  const pools: { close(): void }[] = []
  afterEach(async () => {
    for (const pool of pools.splice(0)) pool.close()
    await setup.close()
  })

  async function open(more: Partial<UpstreamPoolOptions> = {}) {
    const closed: Socket[] = []
    const upstream = await setup.upstream((socket) => {
      socket.on('close', () => closed.push(socket))
      socket.on('end', () => socket.end())
      socket.resume()
    })
    let trust = createSecureContext()
    const dials: number[] = []
    const pool = createUpstreamPool({
      ...{ buffers: createReadBuffers(), dialMs: 30_000, idleMs: 60_000 },
      ...{ maxIdle: 100, maxIdlePerKey: 100, maxPerDestination: 100, maxPerAgent: 100 },
      trust: () => trust,
      onDial: (seconds) => dials.push(seconds),
      onRefused: () => {},
      ...more,
    })
    pools.push(pool)
    const plan = (host = 'api.test', port = upstream.port) => {
      const rules = compileAddressRules({ allowCidrs: ['127.0.0.0/8'], denyCidrs: [] })
      const judged = judgeAddresses(['127.0.0.1'], port, rules, [])
      assert.ok('ips' in judged)
      const target = { form: 'absolute', host, isIp: false, port, scheme: 'http' } as const
      return planDial({ ...target, portNamed: true, path: '/', query: '' }, ALLOWED, judged)
    }
    const take = async (
      owner = 'acme/a',
      { host = 'api.test', ...options }: TakeOptions & { readonly host?: string } = {},
    ) => {
      const taken = await pool.take(owner, plan(host), CLIENT, options)
      assert.ok('socket' in taken, 'refused')
      setup.closing.push(async () => taken.socket.destroy())
      return taken
    }
    const several = async (count: number, owner = 'acme/a') => {
      const all: Upstream[] = []
      for (let n = 0; n < count; n += 1) all.push(await take(owner))
      return all
    }
    const renewTrust = () => {
      trust = createSecureContext()
    }
    return { upstream, closed, pool, plan, take, several, dials, renewTrust }
  }
  const portOf = ({ socket }: Upstream) => socket.raw.localPort

  it('hands out the youngest of those that wait, to its agent and its host alone, and says that it was used', async () => {
    const { pool, take, several, dials } = await open()
    const [one, two] = await several(2)
    assert.ok(one !== undefined && two !== undefined)
    assert.deepEqual([one.reused, dials.length], [false, 2])
    for (const seconds of dials) assert.ok(seconds >= 0 && seconds < 30, `${seconds}`)
    const ports = [portOf(one), portOf(two)]
    pool.give(one, null)
    pool.give(two, null)
    for (const other of [await take('acme/b'), await take('acme/a', { host: 'other.test' })]) {
      assert.equal(other.reused, false)
      pool.drop(other)
    }
    const fresh = await take('acme/a', { fresh: true })
    assert.deepEqual([fresh.reused, ports.includes(portOf(fresh))], [false, false])
    const again = [await take(), await take(), await take()]
    assert.deepEqual(
      again.map(({ reused }) => reused),
      [true, true, false],
    )
    assert.deepEqual(again.slice(0, 2).map(portOf), ports.toReversed())
    for (const each of [fresh, ...again]) pool.drop(each)
  })

  it('keeps so many of a kind and so many in all, and closes what is beyond', async () => {
    const { pool, take, several, closed } = await open({ maxIdle: 3, maxIdlePerKey: 2 })
    for (const each of await several(3)) pool.give(each, null)
    await waitFor('the third of one kind to close', () => closed.length === 1)
    for (const each of await several(2, 'acme/b')) pool.give(each, null)
    await waitFor('the fourth in all to close', () => closed.length === 2)
    // room that is used up is given back with each that is taken
    const taken = await take()
    assert.equal(taken.reused, true)
    pool.give(taken, null)
    for (let n = 0; n < 2; n += 1) assert.equal((await take()).reused, true)
    assert.equal((await take()).reused, false)
    assert.equal(closed.length, 2)
  })

  it('keeps none whose destination closes it in a moment, has ended it, or has sent what nobody asked for', async () => {
    const { pool, take, upstream, closed } = await open()
    const gone = async (
      make: (given: Upstream, theirs: Socket) => unknown,
      keepAliveMs?: number,
    ) => {
      const { length } = upstream.connections
      const before = closed.length
      const given = await take('acme/a', { fresh: true })
      const theirs = await waitFor('the connection', () => upstream.connections[length])
      await make(given, theirs)
      pool.give(given, keepAliveMs ?? null)
      await waitFor('it to close', () => closed.length === before + 1)
      const next = await take()
      assert.equal(next.reused, false)
      pool.drop(next)
      await waitFor('the next to close', () => closed.length === before + 2)
    }
    await gone(() => {}, 0)
    await gone(() => {}, 1_000)
    await gone(async ({ socket }, theirs) => {
      theirs.end()
      await waitFor('the end', () => socket.ended)
    })
    await gone(async ({ socket }, theirs) => {
      theirs.resetAndDestroy()
      await waitFor('the reset', () => socket.closed)
    })
    await gone(async ({ socket }, theirs) => {
      socket.release()
      theirs.write('more')
      await waitFor('the bytes', () => socket.heldBytes > 0)
    })
    // and the same while it waits
    for (const spoil of [
      (theirs: Socket) => theirs.write('more'),
      (theirs: Socket) => theirs.end(),
      (theirs: Socket) => theirs.resetAndDestroy(),
    ]) {
      const { length } = upstream.connections
      const before = closed.length
      pool.give(await take('acme/a', { fresh: true }), null)
      spoil(await waitFor('the connection', () => upstream.connections[length]))
      await waitFor('it to close', () => closed.length === before + 1)
      const next = await take()
      assert.equal(next.reused, false)
      pool.drop(next)
      await waitFor('the next to close', () => closed.length === before + 2)
    }
  })

  it('hands out none that was made under other roots', async () => {
    const { pool, take, closed, renewTrust } = await open()
    pool.give(await take(), null)
    renewTrust()
    assert.equal((await take()).reused, false)
    await waitFor('the old one to close', () => closed.length === 1)
  })

  it('gives what cannot be repeated none whose moment is over, unless its destination said how long it stays', async () => {
    const { pool, take } = await open()
    const once = { repeatable: false }
    pool.give(await take(), null)
    const soon = await take('acme/a', once)
    assert.equal(soon.reused, true)
    pool.give(soon, null)
    pool.give(await take('acme/b'), 60_000)
    await delay(1_050)
    assert.equal((await take('acme/b', once)).reused, true)
    assert.equal((await take('acme/a', once)).reused, false)
    assert.equal((await take('acme/a')).reused, true, 'what can be repeated may have it')
  })

  it('closes what has waited too long by itself, and hands it out no more', async () => {
    const { pool, take, closed } = await open({ idleMs: 60 })
    pool.give(await take(), 3_600_000)
    await waitFor('it to close', () => closed.length === 1)
    const next = await take()
    assert.equal(next.reused, false)
    // and again: the sweep begins anew
    pool.give(next, null)
    await waitFor('the next to close', () => closed.length === 2)
  })

  it('hands out none whose destination’s time is over, though nobody has looked yet', async () => {
    const { pool, take, several, closed } = await open()
    // a second of it is for the way there
    for (const each of await several(2)) pool.give(each, 1_050)
    await delay(80)
    assert.equal((await take()).reused, false)
    await waitFor('both to close', () => closed.length === 2)
  })

  it('counts no connection any more that it has closed, and closes all that wait at its end', async () => {
    const { pool, take, several, closed } = await open({ maxPerAgent: 2 })
    for (let round = 0; round < 3; round += 1) {
      const [one, two] = await several(2)
      assert.ok(one !== undefined && two !== undefined)
      pool.drop(one)
      pool.give(two, 0)
    }
    const [one, two] = await several(2)
    assert.ok(one !== undefined && two !== undefined)
    pool.give(one, null)
    // the one that waits makes way for another host
    assert.equal((await take('acme/a', { host: 'other.test' })).reused, false)
    await waitFor('those to close', () => closed.length === 7)
    pool.give(two, null)
    pool.close()
    await waitFor('the last to close', () => closed.length === 8)
  })
})
