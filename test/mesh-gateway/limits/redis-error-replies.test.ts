import assert from 'node:assert/strict'
import type { Log } from '@clawmesh/agent-sdk'
import { Redis } from 'ioredis'
import { openRedisLink, type RedisLink } from '../../../mesh-gateway/src/limits/redis/redis-link.ts'
import {
  createSharedLimits,
  type SharedLimits,
} from '../../../mesh-gateway/src/limits/redis/shared-limits.ts'
import { needProgram } from '../../support/need-program.ts'
import { type RedisServer, startRedisServer } from '../../support/redis-server.ts'
import { waitFor } from '../../support/wait-for.ts'

const UNAVAILABLE = { code: 'MESH_LIMIT_UNAVAILABLE' }

describe('an error reply of Redis', function () {
  this.timeout(60_000)
  let server: RedisServer
  let link: RedisLink
  let limits: SharedLimits
  let other: Redis
  const states: boolean[] = []
  const said: string[] = []
  const note = (_fields: object, message: string) => void said.push(message)
  const log: Log = { debug: () => {}, info: () => {}, warn: note, error: note }

  before(async function () {
    needProgram(this, 'redis-server')
    server = await startRedisServer()
  })
  after(() => server?.close())
  beforeEach(async () => {
    states.length = 0
    said.length = 0
    const onState = (up: boolean) => void states.push(up)
    link = await openRedisLink({
      ...{ url: server.url, username: null, password: null, ca: null, onState, log },
    })
    limits = createSharedLimits({
      ...{ link, whenAway: 'refuse', prefix: 'p:', onAway: () => {}, leaseMs: 300 },
    })
    other = new Redis(server.url)
    await other.flushall()
  })
  afterEach(async () => {
    limits.close()
    await link.close()
    other.disconnect()
  })

  it('about the keys of one tenant refuses that tenant alone', async () => {
    await other.set('p:rate:one', 'of another type')
    await other.hset('p:inside:one', 'gateway', 'not a count')
    for (let i = 0; i < 3; i += 1) {
      await assert.rejects(async () => limits.take('one', 60, 5), UNAVAILABLE)
      await assert.rejects(async () => limits.enter('one', 5), UNAVAILABLE)
      assert.equal(await limits.take('two', 60, 5), null)
    }
    assert.ok(await limits.enter('two', 5))
    assert.deepEqual(states, [true], 'Redis was never away')
    assert.equal(said.length, 1, 'one line says so')
  })

  it('about one lease keeps no other from being renewed', async () => {
    assert.ok(await limits.enter('one', 1))
    assert.ok(await limits.enter('two', 1))
    await other.set('p:inside:one', 'of another type')
    const renewals = async () => (await other.hvals('p:inside:two'))[0]
    const before = await renewals()
    await waitFor('the lease to be renewed', async () =>
      (await renewals()) === before ? undefined : true,
    )
    assert.deepEqual(states, [true])
  })

  it('about the server as a whole means that it is away', async () => {
    await other.config('SET', 'maxmemory', '1')
    try {
      await assert.rejects(async () => limits.take('one', 60, 5), UNAVAILABLE)
      assert.equal(states.at(1), false)
    } finally {
      await other.config('SET', 'maxmemory', '0')
    }
    await waitFor('Redis to be back', () => (states.at(-1) === true ? true : undefined))
    assert.equal(await limits.take('one', 60, 5), null)
  })
})
