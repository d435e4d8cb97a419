/** What a gateway tells Redis of its own, and what it does without it: each question is noted, and answered by the test. */
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { RedisAway, type RedisLink } from '../../../../mesh-gateway/src/limits/redis/redis-link.ts'
import { ENTER, LEAVE, RENEW, TAKE } from '../../../../mesh-gateway/src/limits/redis/scripts.ts'
import { createSharedBudgets } from '../../../../mesh-gateway/src/limits/redis/shared-budgets.ts'
import {
  createSharedLimits,
  type SharedLimits,
  type WhenRedisIsAway,
} from '../../../../mesh-gateway/src/limits/redis/shared-limits.ts'

const NAMES = new Map([
  [TAKE, 'take'],
  [ENTER, 'enter'],
  [LEAVE, 'leave'],
  [RENEW, 'renew'],
])
const REFUSED = Object.assign(new Error('WRONGTYPE no'), { name: 'ReplyError' })
const UNAVAILABLE = { code: 'MESH_LIMIT_UNAVAILABLE', retryAfterMs: 1_000 }

describe('limits that gateways share', () => {
  let asked: string[]
  let away: boolean
  let answer: (question: string) => unknown
  let onBack: (redis: Redis) => Promise<void>
  let onClose: (redis: Redis) => Promise<void>
  let met: WhenRedisIsAway[]
  let gateways: Set<unknown>
  const opened: SharedLimits[] = []
  const client = new Redis({ lazyConnect: true })
  /** Notes a question without the gateway's name, which is its own. */
  const note = async (question: string, gateway: unknown) => {
    gateways.add(gateway)
    asked.push(question)
    const said = await answer(question)
    if (said instanceof Error) throw said
    return said
  }
  const redis = Object.assign(client, {
    async eval(script: string, keys: number, key: string, ...rest: readonly unknown[]) {
      const name = NAMES.get(script) ?? 'unknown'
      // a rate has no gateway
      const [gateway, ...more] = name === 'take' ? [null, ...rest] : rest
      const said: unknown = await note([name, keys, key, ...more].join(' '), gateway)
      return said
    },
    async hdel(key: string, gateway: string) {
      await note(`hdel ${key}`, gateway)
      return 1
    },
  })
  const link: RedisLink = {
    async ask(question) {
      if (away) throw new RedisAway()
      return await question(redis)
    },
    away: () => away,
    onBack: (task) => {
      onBack = task
    },
    onClose: (task) => {
      onClose = task
    },
    async close() {},
  }
  const told = () => asked.splice(0)

  beforeEach(() => {
    asked = []
    met = []
    gateways = new Set()
    away = false
    answer = () => 1
  })
  afterEach(() => {
    for (const limits of opened.splice(0)) limits.close()
  })
  function open(whenAway: WhenRedisIsAway = 'refuse', leaseMs = 600_000) {
    const onAway = (how: WhenRedisIsAway) => void met.push(how)
    const limits = createSharedLimits({ link, whenAway, prefix: 'p:', onAway, leaseMs })
    opened.push(limits)
    return limits
  }
  const renewed = async () => {
    await onBack(redis)
    return told()
  }

  it('ask for a token at the rate and the burst, of one at least', async () => {
    const limits = open()
    for (const [said, waitMs] of [
      [-1, null],
      [0, 0],
      [1, 1],
      [1_500, 1_500],
    ] as const) {
      answer = () => said
      assert.equal(await limits.take('k', 60, 5), waitMs)
    }
    answer = () => -1
    assert.equal(await limits.take('k', 0.5, 0), null)
    assert.deepEqual([...new Set(told())], ['take 1 p:rate:k 60 5', 'take 1 p:rate:k 0.5 1'])
    assert.equal(await limits.take('k', 1, 1), null)
    for (const none of [0, -1]) assert.equal(await limits.take('k', none, 5), 60_000)
    assert.deepEqual(told(), ['take 1 p:rate:k 1 1'])
  })

  it('are known by name and bound, the latest first, and are no more than so many', async () => {
    const limits = open()
    answer = (question) => (question.startsWith('take') ? -1 : 1)
    await limits.take('egress:acme/a', 60, 5)
    await limits.enter('egress:acme/a', 3)
    await limits.take('egress:acme/a', 30, 0.5)
    const redis = { used: null, per_minute: null }
    assert.deepEqual(limits.usage(10), [
      { key: 'egress:acme/a', kind: 'rate', ...redis, most: 1, per_minute: 30 },
      { key: 'egress:acme/a', kind: 'at-once', ...redis, most: 3 },
    ])
    for (let n = 0; n < 3_000; n += 1) await limits.take(`k${n}`, 60, 5)
    const [latest, ...others] = limits.usage(10_000)
    assert.equal(latest?.key, 'k2999')
    assert.equal(others.length, 499)
  })

  it('count one inside when Redis has room, and give it back once', async () => {
    const limits = open()
    const leave = await limits.enter('k', 3)
    answer = () => 0
    assert.equal(await limits.enter('k', 3), null)
    assert.deepEqual(told(), ['enter 1 p:inside:k 3 600000', 'enter 1 p:inside:k 3 600000'])
    answer = () => 1
    leave?.()
    leave?.()
    await turn()
    assert.deepEqual(told(), ['leave 1 p:inside:k'])
    assert.equal(gateways.size, 1)
    const [name] = gateways
    assert.match(String(name), /^[0-9a-f-]{36}$/)
  })

  it('tell Redis when it is back how many are inside, until none is, and then nothing', async () => {
    const limits = open()
    const leaves = [await limits.enter('k', 9), await limits.enter('k', 9)]
    const other = await limits.enter('other', 9)
    other?.()
    await turn()
    told()
    assert.deepEqual(await renewed(), [
      'renew 1 p:inside:k 600000 2',
      'renew 1 p:inside:other 600000 0',
    ])
    leaves[0]?.()
    await turn()
    told()
    // all is in doubt when it is back, also what was given up
    assert.deepEqual(await renewed(), [
      'renew 1 p:inside:k 600000 1',
      'renew 1 p:inside:other 600000 0',
    ])
    assert.equal(gateways.size, 1)
  })

  it('say nothing of a count while an answer is under way, which only Redis knows', async () => {
    const limits = open()
    const { promise, resolve } = Promise.withResolvers<number>()
    answer = (question) => (question.startsWith('enter') ? promise : 1)
    const entering = limits.enter('k', 9)
    await turn()
    told()
    assert.deepEqual(await renewed(), ['renew 1 p:inside:k 600000 -1'])
    resolve(1)
    assert.ok(await entering)
    assert.deepEqual(await renewed(), ['renew 1 p:inside:k 600000 1'])
  })

  it('renew by themselves, forget what is left, and tell again what Redis may not have heard', async () => {
    const limits = open('refuse', 30)
    const heard = async (question: string) => {
      while (!asked.includes(question)) await new Promise((resolve) => setTimeout(resolve, 1))
    }
    const leave = await limits.enter('k', 9)
    await heard('renew 1 p:inside:k 30 1')
    // the word of one that leaves is lost, and the next renewal has it
    answer = (question) => (question.startsWith('leave') ? new RedisAway() : 1)
    leave?.()
    await heard('renew 1 p:inside:k 30 0')
    const other = await limits.enter('other', 9)
    told()
    for (let beats = 0; beats < 2; beats += 1) {
      told()
      await heard('renew 1 p:inside:other 30 1')
    }
    assert.ok(!asked.some((question) => question.includes('inside:k')), 'it is forgotten')
    other?.()
    // one that cannot be renewed is told again, and keeps no other from being renewed
    answer = (question) => (question === 'renew 1 p:inside:odd 30 1' ? REFUSED : 1)
    await limits.enter('odd', 9)
    await limits.enter('even', 9)
    told()
    await heard('renew 1 p:inside:even 30 1')
    told()
    await heard('renew 1 p:inside:odd 30 1')
    limits.close()
    told()
    await new Promise((resolve) => setTimeout(resolve, 60))
    assert.deepEqual(asked, [], 'it is closed')
  })

  it('tell with the next renewal of one that leaves while Redis is being told', async () => {
    const limits = open('refuse', 30)
    const leave = await limits.enter('k', 9)
    const { promise, resolve } = Promise.withResolvers<number>()
    answer = () => promise
    away = true
    const telling = onBack(redis)
    leave?.()
    resolve(1)
    await telling
    assert.equal(told().at(-1), 'renew 1 p:inside:k 30 1')
    answer = () => 1
    away = false
    while (!asked.includes('renew 1 p:inside:k 30 0'))
      await new Promise((settled) => setTimeout(settled, 1))
  })

  it('renew any number, and not all at once', async () => {
    const limits = open()
    const keys = Array.from({ length: 1_001 }, (_, at) => `k${at}`)
    await Promise.all(keys.map((key) => limits.enter(key, 1)))
    told()
    let [underWay, most] = [0, 0]
    answer = async () => {
      underWay += 1
      most = Math.max(most, underWay)
      await turn()
      underWay -= 1
      return 1
    }
    assert.equal(new Set(await renewed()).size, 1_001)
    assert.equal(most, 500)
    const lost = new Error('lost')
    answer = () => lost
    await assert.rejects(onBack(redis), lost)
  })

  it('refuse while Redis is away, or count in this gateway, with what it knows', async () => {
    const refusing = open('refuse')
    away = true
    await assert.rejects(async () => refusing.take('k', 60, 5), UNAVAILABLE)
    await assert.rejects(async () => refusing.enter('k', 5), UNAVAILABLE)
    assert.deepEqual(met.splice(0), ['refuse', 'refuse'])
    away = false
    const counting = open('local')
    const first = await counting.enter('k', 2)
    away = true
    const second = await counting.enter('k', 2)
    assert.ok(first && second)
    assert.equal(await counting.enter('k', 2), null)
    second()
    assert.ok(await counting.enter('k', 2))
    assert.equal(await counting.take('k', 60, 1), null)
    assert.ok(Number(await counting.take('k', 60, 1)) > 0)
    assert.ok(met.every((how) => how === 'local') && met.length === 5)
    told()
    assert.deepEqual(await renewed(), ['renew 1 p:inside:k 600000 2'])
  })

  it('hide no fault that is not of Redis', async () => {
    const limits = open('local')
    answer = () => new TypeError('ours')
    await assert.rejects(async () => limits.take('k', 60, 5), { message: 'ours' })
    await assert.rejects(async () => limits.enter('k', 5), { message: 'ours' })
    assert.deepEqual(met, [])
    const budgets = createSharedBudgets({
      ...{ link: { ...link, ask: async () => Promise.reject(new TypeError('ours')) } },
      ...{ whenAway: 'local', prefix: 'p:', keepMs: () => 1, maxTrees: 9, onAway: () => {} },
    })
    await assert.rejects(budgets.spend('t', 5, 'acme'), { message: 'ours' })
  })

  it('take all that is theirs out of Redis when they close', async () => {
    const limits = open()
    await limits.enter('a', 1)
    await limits.enter('b', 1)
    told()
    await onClose(redis)
    assert.deepEqual(told(), ['hdel p:inside:a', 'hdel p:inside:b'])
    assert.equal(gateways.size, 1)
  })

  it('refuse a tree while Redis is away, or count it here', async () => {
    const open = (whenAway: WhenRedisIsAway) =>
      createSharedBudgets({
        ...{ link, whenAway, prefix: 'p:', keepMs: () => 60_000, maxTrees: 9 },
        onAway: (how) => void met.push(how),
      })
    away = true
    await assert.rejects(open('refuse').spend('t', 5, 'acme'), UNAVAILABLE)
    const local = open('local')
    assert.equal(await local.spend('t', 1, 'acme'), true)
    assert.equal(await local.spend('t', 1, 'acme'), false)
    assert.deepEqual(met, ['refuse', 'local', 'local'])
  })
})
