/** When Redis is away and when it is back, what is sent meanwhile, and what a link that closes leaves behind. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Log } from '@clawmesh/agent-sdk'
import {
  openRedisLink,
  type RedisLink,
} from '../../../../mesh-gateway/src/limits/redis/redis-link.ts'
import { listenOnFreePort } from '../../../support/http-origin.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { type Asked, type RedisDouble, startRedisDouble } from './redis-double.ts'

const AWAY = { message: /^Redis (?:is away|has failed)$/ }

describe('a link to Redis', () => {
  let double: RedisDouble
  let link: RedisLink
  /** What the double answers. */
  let answer: (asked: Asked) => string | null
  const states: boolean[] = []
  const said: { level: string; message: string; err: unknown }[] = []
  const note = (level: string) => (fields: object, message: string) =>
    void said.push({ level, message, err: 'err' in fields ? fields.err : null })
  const log: Log = {
    ...{ debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') },
  }

  beforeEach(async () => {
    states.length = 0
    said.length = 0
    answer = ({ command }) => (command === 'ping' ? '+PONG' : '+OK')
    double = await startRedisDouble((asked) => answer(asked))
  })
  afterEach(async () => {
    await link?.close()
    double.close()
  })
  const start = async (timeoutMs = 150) => {
    link = await openRedisLink({
      ...{ url: double.url, username: null, password: null, ca: null, timeoutMs, log },
      onState: (up) => void states.push(up),
    })
  }
  /** There, and nothing has happened yet. */
  const open = async (timeoutMs?: number) => {
    await start(timeoutMs)
    await waitFor('Redis', () => (link.away() ? undefined : true))
    states.length = 0
    said.length = 0
  }
  const state = (...expected: boolean[]) =>
    waitFor(`states ${expected.join(', ')}`, () =>
      states.length >= expected.length ? true : undefined,
    ).then(() => assert.deepEqual(states, expected))
  const count = (command: string) =>
    double.asked.filter((asked) => asked.command === command).length
  const silent = () => null

  it('makes its connection anew after eight pings without an answer, and not before', async () => {
    await open()
    answer = (asked) => (asked.connection === 1 ? null : '+PONG')
    const before = count('ping')
    await assert.rejects(
      link.ask((redis) => redis.get('k')),
      AWAY,
    )
    assert.equal(link.away(), true)
    await state(false, true)
    assert.equal(double.connections(), 2)
    const pings = double.asked.filter(({ connection, command }) =>
      connection === 1 ? command === 'ping' : false,
    )
    assert.equal(pings.length - before, 8)
    assert.equal(await link.ask((redis) => redis.ping()), 'PONG')
  })

  it('asks nothing while Redis is away, says once that it is, and once that it is back', async () => {
    await open()
    answer = silent
    await Promise.all(
      ['a', 'b'].map((key) =>
        assert.rejects(
          link.ask((redis) => redis.get(key)),
          AWAY,
        ),
      ),
    )
    await assert.rejects(
      link.ask((redis) => redis.get('c')),
      AWAY,
    )
    answer = () => '+PONG'
    await state(false, true)
    assert.deepEqual([count('get a'), count('get b'), count('get c')], [1, 1, 0])
    assert.deepEqual(
      said.map(({ level }) => level),
      ['warn', 'info'],
    )
    assert.match(String(said[0]?.err), /did not answer within 150 ms/)
  })

  it('sends no question twice, and none for which there was no connection', async () => {
    await open()
    answer = ({ command }) => (command.startsWith('get') ? null : '+PONG')
    const lost = link.ask((redis) => redis.get('lost'))
    await waitFor('the question', () => (count('get lost') === 1 ? true : undefined))
    double.drop()
    await assert.rejects(lost, AWAY)
    await state(false, true)
    double.drop()
    await waitFor('a question that has no connection', () =>
      link
        .ask(async (redis) => {
          if (redis.status === 'ready') return undefined
          await assert.rejects(redis.get('late'))
          return true
        })
        .catch(() => undefined),
    )
    await waitFor('another connection', () =>
      link
        .ask((redis) => redis.ping())
        .then(
          () => true,
          () => undefined,
        ),
    )
    assert.equal(double.connections(), 3)
    assert.deepEqual([count('get lost'), count('get late')], [1, 0])
  })

  it('starts with a Redis that does not answer, says why it is away, and uses it as soon as it answers', async () => {
    answer = silent
    await start()
    assert.deepEqual(states, [false])
    assert.equal(link.away(), true)
    assert.equal(said[0]?.level, 'warn')
    assert.ok(said[0]?.err instanceof Error)
    answer = () => '+PONG'
    await state(false, true)
    assert.equal(link.away(), false)
  })

  it('starts where nothing listens, and names the connection that was refused', async () => {
    double.close()
    await start()
    assert.deepEqual(states, [false])
    assert.match(String(said[0]?.err), /ECONNREFUSED/)
  })

  it('is back when all that is done first has been done, which has four times as long as a question', async () => {
    await open()
    let turns = 0
    let hang = true
    link.onBack(async (redis) => {
      turns += 1
      if (hang) return await new Promise(() => {})
      // longer than a question may take
      await new Promise((resolve) => setTimeout(resolve, 200))
      await redis.set('told', 1)
    })
    answer = silent
    await assert.rejects(
      link.ask((redis) => redis.get('k')),
      AWAY,
    )
    answer = () => '+PONG'
    await waitFor('a second turn', () => (turns >= 2 ? true : undefined))
    assert.deepEqual(states, [false], 'it was not done')
    hang = false
    await state(false, true)
    assert.ok(count('set told 1') >= 1)
  })

  it('takes its leave of a Redis that is there, once, and waits no longer than for a question', async () => {
    await open()
    let left = 0
    link.onClose(async (redis) => {
      left += 1
      await redis.set('left', 1)
    })
    link.onClose(() => new Promise(() => {}))
    answer = ({ command }) => (command === 'get k' ? '-WRONGTYPE' : '+OK')
    const closing = link.close()
    // a question that fails meanwhile is no news
    answer = ({ command }) => (command === 'get k' ? '-OOM no' : '+OK')
    await assert.rejects(
      link.ask((redis) => redis.get('k')),
      AWAY,
    )
    await Promise.all([closing, link.close()])
    assert.equal(left, 1)
    assert.equal(count('set left 1'), 1)
    assert.equal(link.away(), true)
    assert.deepEqual(states, [])
    assert.deepEqual(
      said.map(({ level }) => level),
      ['debug'],
    )
  })

  it('takes no leave of a Redis that is away, and is not back when it has closed', async () => {
    await open()
    let left = 0
    let done = () => {}
    let begun = false
    link.onClose(async () => {
      left += 1
    })
    link.onBack(() => {
      begun = true
      return new Promise((resolve) => {
        done = resolve
      })
    })
    answer = silent
    await assert.rejects(
      link.ask((redis) => redis.get('k')),
      AWAY,
    )
    answer = () => '+PONG'
    await waitFor('Redis to be told', () => (begun ? true : undefined))
    await link.close()
    done()
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(left, 0)
    assert.equal(link.away(), true)
    assert.deepEqual(states, [false])
  })

  it('tries its connection again, each time twice as much later', async () => {
    const times: number[] = []
    const closing = createServer((socket) => {
      times.push(performance.now())
      socket.destroy()
    })
    const port = await listenOnFreePort(closing)
    link = await openRedisLink({
      ...{ url: `redis://127.0.0.1:${port}`, username: null, password: null, ca: null },
      ...{ timeoutMs: 50, log },
      onState: (up) => void states.push(up),
    })
    await waitFor('four connections', () => times.length >= 4)
    const [, second = 0, third = 0, fourth = 0] = times
    assert.ok(third - second >= 190 && fourth - third >= 390, times.join(' '))
    await link.close()
    const closed = once(closing, 'close')
    closing.close()
    await closed
  })
})
