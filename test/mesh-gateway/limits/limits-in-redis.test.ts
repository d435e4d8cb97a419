import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Log } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import { Redis } from 'ioredis'
import {
  type LimitsConfig,
  type OpenLimits,
  openLimits,
} from '../../../mesh-gateway/src/limits/open-limits.ts'
import { openRedisLink } from '../../../mesh-gateway/src/limits/redis/redis-link.ts'
import { createSharedLimits } from '../../../mesh-gateway/src/limits/redis/shared-limits.ts'
import { needProgram } from '../../support/need-program.ts'
import { type RedisServer, startRedisServer } from '../../support/redis-server.ts'
import { waitFor } from '../../support/wait-for.ts'

describe('limits in Redis', function () {
  this.timeout(60_000)
  let redis: RedisServer
  const open: OpenLimits[] = []
  const links: { close(): Promise<void> }[] = []
  const said: string[] = []
  const states: boolean[] = []
  const answers: string[] = []
  const note = (_fields: object, message: string) => void said.push(message)
  const log: Log = { debug: () => {}, info: note, warn: note, error: note }
  let prefixes = 0
  let prefix = ''

  before(async function () {
    needProgram(this, 'redis-server')
    redis = await startRedisServer()
  })
  after(() => redis?.close())
  beforeEach(() => {
    prefixes += 1
    prefix = `test-${prefixes}:`
    said.length = 0
    states.length = 0
    answers.length = 0
  })
  afterEach(async () => {
    for (const one of [...open.splice(0), ...links.splice(0)]) await one.close()
  })

  async function gateway(
    whenRedisIsAway: LimitsConfig['whenRedisIsAway'] = 'refuse',
    more: object = {},
  ): Promise<OpenLimits> {
    const made = await openLimits(
      {
        redis: {
          url: redis.url,
          username: null,
          passwordFile: null,
          caFile: null,
          prefix,
          ...more,
        },
        whenRedisIsAway,
        maxTrees: 1_000,
      },
      {
        counting: null,
        delegationTtlMs: () => 60_000,
        metrics: {
          limitsStore: (up) => void states.push(up),
          limitsWithoutStore: (answer) => void answers.push(answer),
        },
        log,
      },
    )
    open.push(made)
    return made
  }
  const away = () => waitFor('Redis to be away', () => (states.at(-1) === false ? true : undefined))
  const back = () => waitFor('Redis to be back', () => (states.at(-1) === true ? true : undefined))

  it('two gateways share a rate', async () => {
    const [a, b] = [await gateway(), await gateway()]
    const granted: (number | null)[] = []
    for (let i = 0; i < 5; i += 1) {
      granted.push(await a.limits.take('k', 60, 8))
      granted.push(await b.limits.take('k', 60, 8))
    }
    assert.equal(granted.filter((wait) => wait === null).length, 8)
    const [wait] = granted.filter((one) => one !== null)
    assert.ok(wait !== undefined && wait > 500 && wait <= 1_000, `${wait}`)
    assert.equal(await b.limits.take('other', 60, 8), null)
    assert.equal(await b.limits.take('none', 0, 8), 60_000)
  })

  it('a bucket fills again with time', async () => {
    const a = await gateway()
    assert.equal(await a.limits.take('k', 6_000, 1), null)
    let wait: number | null = null
    // where the machine stood still for 10 ms, the bucket is full again
    while (wait === null) wait = await a.limits.take('k', 6_000, 1)
    assert.ok(wait > 0 && wait <= 10, `${wait}`)
    await waitFor('the next one', async () =>
      (await a.limits.take('k', 6_000, 1)) === null ? true : undefined,
    )
  })

  it('two gateways share the room for what is open, and leaving makes room for the other', async () => {
    const [a, b] = [await gateway(), await gateway()]
    const first = await a.limits.enter('k', 2)
    const second = await b.limits.enter('k', 2)
    assert.ok(first !== null && second !== null)
    assert.equal(await a.limits.enter('k', 2), null)
    first()
    first()
    const third = await b.limits.enter('k', 2)
    assert.ok(third !== null)
    assert.equal(await a.limits.enter('k', 2), null, 'leaving twice is leaving once')
  })

  it('however many ask at once, no more than allowed are in', async () => {
    const [a, b] = [await gateway(), await gateway()]
    const all = await Promise.all(
      Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? a : b).limits.enter('k', 10)),
    )
    assert.equal(all.filter((leave) => leave !== null).length, 10)
    for (const leave of all) leave?.()
    await waitFor('room again', async () => ((await b.limits.enter('k', 1)) ? true : undefined))
  })

  it('a gateway that dies holds its room no longer than its lease, one that lives holds it on', async () => {
    const options = { password: null, username: null, ca: null, onState: () => {}, log }
    const mk = async () => {
      const link = await openRedisLink({ ...options, url: redis.url })
      const shared = { whenAway: 'refuse' as const, prefix, onAway: () => {}, leaseMs: 400 }
      const limits = createSharedLimits({ ...shared, link })
      links.push({
        async close() {
          limits.close()
          await link.close()
        },
      })
      return { limits }
    }
    const [dies, lives, asks] = [await mk(), await mk(), await mk()]
    assert.ok(await dies.limits.enter('k', 2))
    assert.ok(await lives.limits.enter('k', 2))
    assert.ok(await dies.limits.enter('its own', 1))
    // no good-bye: the heart stops, as it does when the process does
    dies.limits.close()
    assert.equal(await asks.limits.enter('k', 2), null)
    await waitFor('the lease to end', async () =>
      (await asks.limits.enter('its own', 1)) === null ? undefined : true,
    )
    assert.ok(await asks.limits.enter('k', 2), 'in the place of the one that died')
    assert.equal(await asks.limits.enter('k', 2), null, 'the one that lives is still counted')
  })

  it('a gateway that closes gives back its room at once', async () => {
    const [a, b] = [await gateway(), await gateway()]
    assert.ok(await a.limits.enter('k', 1))
    assert.equal(await b.limits.enter('k', 1), null)
    await a.close()
    assert.ok(await b.limits.enter('k', 1))
  })

  it('two gateways share the budget of a tree', async () => {
    const [a, b] = [await gateway(), await gateway()]
    const spent: boolean[] = []
    for (let i = 0; i < 3; i += 1) {
      spent.push(await a.budgets.spend('txn', 4, 'acme'))
      spent.push(await b.budgets.spend('txn', 4, 'acme'))
    }
    assert.deepEqual(spent, [true, true, true, true, false, false])
    assert.equal(await b.budgets.spend('other', 4, 'acme'), true)
  })

  it('keeps the budget of a tree in Redis for as long as its tokens are taken, and no longer', async () => {
    const a = await gateway()
    assert.equal(await a.budgets.spend('txn', 4, 'acme'), true)
    const other = new Redis(redis.url)
    const leftMs = await other.pttl(`${prefix}tree:txn`)
    other.disconnect()
    // a token lives for a minute here, and is taken for one more
    assert.ok(leftMs > 60_000 && leftMs <= 120_000, `${leftMs}`)
  })

  it('killed in the middle of load it refuses as configured, and recovers by itself', async () => {
    const a = await gateway('refuse')
    const codes = new Set<string>()
    let running = true
    const load = (async () => {
      while (running) {
        const results = await Promise.allSettled([
          a.limits.take('k', 1e6, 1e6),
          a.limits.enter('k', 1e6),
          a.budgets.spend('t', 1e6, 'acme'),
        ])
        for (const result of results)
          codes.add(
            result.status === 'fulfilled'
              ? 'OK'
              : result.reason instanceof MeshError
                ? result.reason.code
                : String(result.reason),
          )
        await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    await waitFor('load', () => (codes.has('OK') ? true : undefined))
    await redis.kill()
    await away()
    await waitFor('a refusal', () => (codes.has('MESH_LIMIT_UNAVAILABLE') ? true : undefined))
    await redis.start()
    await back()
    running = false
    await load
    assert.deepEqual([...codes].toSorted(), ['MESH_LIMIT_UNAVAILABLE', 'OK'])
    assert.equal(await a.limits.take('k', 60, 5), null)
    assert.deepEqual(states, [true, false, true])
    assert.equal(said.filter((line) => line.includes('away')).length, 1, 'one line says so')
    assert.ok(answers.length > 0 && answers.every((answer) => answer === 'refuse'))
  })

  it('with local, each gateway counts by itself, with what it knows, and tells Redis when it is back', async () => {
    const [a, b] = [await gateway('local'), await gateway('local')]
    const inside = await a.limits.enter('k', 3)
    assert.ok(inside)
    for (let i = 0; i < 3; i += 1) await a.budgets.spend('txn', 4, 'acme')
    await redis.kill()
    assert.ok(await a.limits.enter('k', 3), 'the second here')
    assert.ok(await a.limits.enter('k', 3))
    assert.equal(await a.limits.enter('k', 3), null, 'it knew of the first')
    assert.ok(await b.limits.enter('k', 3), 'the other counts by itself')
    assert.equal(await a.budgets.spend('txn', 4, 'acme'), true)
    assert.equal(await a.budgets.spend('txn', 4, 'acme'), false)
    for (let i = 0; i < 5; i += 1) assert.equal(await a.limits.take('k', 60, 5), null)
    assert.notEqual(await a.limits.take('k', 60, 5), null)
    inside()
    assert.ok(answers.length > 0 && answers.every((answer) => answer === 'local'))
    await redis.start()
    await waitFor('both to be back', () =>
      states.filter((up) => up).length >= 4 ? true : undefined,
    )
    // two here and one there, though Redis had forgotten all of them
    assert.equal(await b.limits.enter('k', 3), null)
    assert.ok(await b.limits.enter('k', 4))
  })

  it('one that hangs holds no call for long, and holds up nobody after that', async () => {
    const a = await gateway('refuse')
    redis.hang()
    try {
      const start = performance.now()
      await assert.rejects(async () => a.limits.take('k', 60, 5), {
        code: 'MESH_LIMIT_UNAVAILABLE',
      })
      const first = performance.now() - start
      assert.ok(first >= 240, `${first} ms`)
      const again = performance.now()
      for (let i = 0; i < 100; i += 1)
        await assert.rejects(async () => a.limits.take('k', 60, 5), {
          code: 'MESH_LIMIT_UNAVAILABLE',
        })
      // each that waited would have taken 250 ms
      assert.ok(performance.now() - again < 20_000)
    } finally {
      redis.goOn()
    }
    await back()
    assert.equal(await a.limits.take('k', 60, 5), null)
  })

  it('a gateway starts without it, and uses it as soon as it is there', async () => {
    await redis.kill()
    const a = await gateway('refuse')
    await assert.rejects(async () => a.budgets.spend('t', 5, 'acme'), {
      code: 'MESH_LIMIT_UNAVAILABLE',
    })
    await redis.start()
    await back()
    assert.equal(await a.budgets.spend('t', 5, 'acme'), true)
  })

  it('the password comes from a file, and a wrong one is as good as away', async () => {
    const guarded = await startRedisServer({ password: 'open sesame' })
    const dir = await mkdtemp(join(tmpdir(), 'clawmesh-limits-'))
    try {
      const passwordFile = join(dir, 'password')
      await writeFile(passwordFile, 'open sesame\n', { mode: 0o600 })
      const a = await gateway('refuse', { url: guarded.url, passwordFile })
      assert.equal(await a.limits.take('k', 60, 5), null)
      await writeFile(passwordFile, 'guess')
      const b = await gateway('refuse', { url: guarded.url, passwordFile })
      await assert.rejects(async () => b.limits.take('k', 60, 5), {
        code: 'MESH_LIMIT_UNAVAILABLE',
      })
      await assert.rejects(
        gateway('refuse', { url: guarded.url, passwordFile: join(dir, 'none') }),
        { code: 'MESH_CONFIG_INVALID' },
      )
      assert.ok(said.every((line) => !line.includes('sesame')))
    } finally {
      await guarded.close()
      await rm(dir, { recursive: true })
    }
  })
})
