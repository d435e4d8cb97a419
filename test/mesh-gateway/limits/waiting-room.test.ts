import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { createLimits } from '../../../mesh-gateway/src/limits/create-limits.ts'
import type { Limits, Release } from '../../../mesh-gateway/src/limits/limits.ts'
import { createWaitingRoom, type Room } from '../../../mesh-gateway/src/limits/waiting-room.ts'

const room: Room = { what: 'tasks of acme/b', most: 1, queueLength: 6, queueMs: 5_000 }
const here = new AbortController().signal
const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('a waiting room', () => {
  it('lets in at once when there is room', () => {
    const waiting = createWaitingRoom(createLimits())
    assert.equal(typeof waiting.enter('k', room, 'acme/a', here), 'function')
  })

  it('lets in the calls of one caller as they came, each as soon as one leaves', async () => {
    const waiting = createWaitingRoom(createLimits())
    const order: number[] = []
    const first = waiting.enter('k', room, 'acme/a', here)
    assert.ok(typeof first === 'function')
    const rest = [1, 2, 3].map(async (n) => {
      const leave = await waiting.enter('k', room, 'acme/a', here)
      order.push(n)
      return leave
    })
    await turn()
    assert.deepEqual(order, [])
    first()
    ;(await rest[0])?.()
    ;(await rest[1])?.()
    ;(await rest[2])?.()
    assert.deepEqual(order, [1, 2, 3])
    await turn()
    assert.equal(typeof waiting.enter('k', room, 'acme/a', here), 'function', 'and is empty again')
  })

  it('nobody who comes later goes ahead of who waits', async () => {
    const waiting = createWaitingRoom(createLimits())
    const first = waiting.enter('k', room, 'acme/a', here)
    const second = waiting.enter('k', room, 'acme/a', here)
    assert.ok(typeof first === 'function' && second instanceof Promise)
    first()
    const third = waiting.enter('k', room, 'acme/a', here)
    assert.ok(third instanceof Promise)
    const leave = await second
    let entered = false
    third.then(
      () => {
        entered = true
      },
      () => {},
    )
    await turn()
    assert.equal(entered, false)
    leave()
    ;(await third)()
  })

  it('refuses when too many wait, and when the wait is too long, and says when to come again', async () => {
    const waiting = createWaitingRoom(createLimits())
    const leave = waiting.enter('k', room, 'acme/a', here)
    assert.ok(typeof leave === 'function')
    const short = { ...room, queueMs: 20, queueLength: 1 }
    const waits = waiting.enter('k', short, 'acme/a', here)
    await assert.rejects(async () => waiting.enter('k', short, 'acme/a', here), {
      code: 'MESH_LIMIT_CONCURRENCY',
      retryAfterMs: 1_000,
      // of what the callee's tenant allows, callers of another are told nothing
      publicMessage: /^no more tasks of acme\/b may be open now, and [a-z ]+$/,
    })
    await assert.rejects(async () => waits, {
      code: 'MESH_LIMIT_CONCURRENCY',
      retryAfterMs: 1_000,
      publicMessage: /^no more tasks of acme\/b may be open now, and [a-z ]+$/,
    })
    leave()
    assert.equal(typeof waiting.enter('k', room, 'acme/a', here), 'function')
    await assert.rejects(
      async () => waiting.enter('k', { ...room, queueLength: 0 }, 'acme/a', here),
      {
        code: 'MESH_LIMIT_CONCURRENCY',
      },
    )
  })

  it('who has gone while waiting takes nobody’s place', async () => {
    const waiting = createWaitingRoom(createLimits())
    const first = waiting.enter('k', room, 'acme/a', here)
    assert.ok(typeof first === 'function')
    const gone = new AbortController()
    const second = waiting.enter('k', room, 'acme/a', gone.signal)
    const third = waiting.enter('k', room, 'acme/a', here)
    gone.abort()
    await assert.rejects(async () => second, { code: 'MESH_CALL_CANCELED' })
    first()
    ;(await third)()
    await assert.rejects(
      async () => {
        const held = waiting.enter('k', room, 'acme/a', here)
        assert.ok(typeof held === 'function')
        await waiting.enter('k', room, 'acme/a', gone.signal)
      },
      { code: 'MESH_CALL_CANCELED' },
    )
  })

  it('looks by itself where another gateway makes room, and gives up where limits cannot be judged', async () => {
    const local = createLimits()
    let broken = false
    const shared: Limits = {
      take: local.take,
      async enter(key, max): Promise<Release | null> {
        if (broken) throw new Error('away')
        return local.enter(key, max)
      },
    }
    const waiting = createWaitingRoom(shared)
    const elsewhere = local.enter('k', 1)
    const waits = waiting.enter('k', room, 'acme/a', here)
    await turn()
    elsewhere?.()
    const leave = await waits
    const never = waiting.enter('k', room, 'globex/a', here)
    await turn()
    broken = true
    await assert.rejects(async () => never, { message: 'away' })
    leave()
  })

  it('goes round tenants and then callers, however many calls of one wait', async () => {
    const waiting = createWaitingRoom(createLimits())
    const wide = { ...room, queueLength: 100 }
    const first = waiting.enter('k', wide, 'acme/mallory', here)
    assert.ok(typeof first === 'function')
    const order: string[] = []
    const ask = async (asker: string) => {
      const leave = await waiting.enter('k', wide, asker, here)
      order.push(asker)
      leave()
    }
    const all = Array.from({ length: 40 }, () => ask('acme/mallory'))
    for (const asker of ['acme/planner', 'globex/cfo', 'initech/a']) all.push(ask(asker))
    first()
    await Promise.all(all)
    assert.deepEqual(new Set(order.slice(0, 4)), new Set(order))
    // the one that came last is ahead of 39 that came first
    assert.equal(order.indexOf('initech/a'), 2)
  })

  it('keeps places for others of those that wait, and of those that are inside', async () => {
    const waiting = createWaitingRoom(createLimits())
    const wide = { ...room, most: 8, queueLength: 8 }
    const gone = new AbortController()
    const outcomes = new Map<
      string,
      { inside: number; refused: number; waits: Promise<unknown>[] }
    >()
    const ask = async (asker: string) => {
      const of = outcomes.get(asker) ?? { inside: 0, refused: 0, waits: [] }
      outcomes.set(asker, of)
      try {
        const entered = waiting.enter('k', wide, asker, gone.signal)
        if (entered instanceof Promise) of.waits.push(entered)
        await entered
        of.inside += 1
      } catch {
        if (!gone.signal.aborted) of.refused += 1
      }
    }
    const all: Promise<void>[] = []
    for (const asker of ['acme/a', 'acme/b', 'globex/c', 'initech/d'])
      for (let n = 0; n < 20; n += 1) all.push(ask(asker))
    await turn()
    const inside = [...outcomes].map(([asker, of]) => [asker, of.inside])
    // a caller has half, a tenant three quarters, and another tenant the rest
    assert.deepEqual(inside, [
      ['acme/a', 4],
      ['acme/b', 2],
      ['globex/c', 2],
      ['initech/d', 0],
    ])
    const waits = [...outcomes].map(([, of]) => 20 - of.inside - of.refused)
    assert.deepEqual(waits, [4, 2, 2, 0])
    gone.abort()
    await Promise.all(all)
  })

  it('lets another caller in beside one that has its share and waits for more', async () => {
    const waiting = createWaitingRoom(createLimits())
    const wide = { ...room, most: 2 }
    const first = waiting.enter('k', wide, 'acme/a', here)
    const second = waiting.enter('k', wide, 'acme/a', here)
    assert.ok(typeof first === 'function' && second instanceof Promise)
    const other = waiting.enter('k', wide, 'acme/b', here)
    assert.ok(typeof other === 'function')
    first()
    ;(await second)()
    other()
  })
  it('says of whom as many wait as may: of all, of a tenant or of a caller', async () => {
    const wide = { ...room, most: 1, queueLength: 4 }
    for (const [asker, others, whose] of [
      // a caller may have two of four places, a tenant three
      ['acme/a', ['acme/a', 'acme/a'], ' of this caller'],
      ['acme/c', ['acme/a', 'acme/a', 'acme/b'], ' of this tenant'],
      ['initech/d', ['acme/a', 'acme/a', 'acme/b', 'globex/c'], ''],
    ] as const) {
      const waiting = createWaitingRoom(createLimits())
      const gone = new AbortController()
      assert.equal(typeof waiting.enter('k', wide, 'umbrella/x', here), 'function')
      const waits = others.map((other) =>
        assert.rejects(async () => waiting.enter('k', wide, other, gone.signal), {
          code: 'MESH_CALL_CANCELED',
        }),
      )
      await assert.rejects(async () => waiting.enter('k', wide, asker, here), {
        message: `no more tasks of acme/b may be open now, and as many as may${whose} wait already`,
      })
      gone.abort()
      await Promise.all(waits)
    }
  })

  for (const kind of ['at once', 'later'] as const)
    it(`holds no place for one whose limits could not be judged ${kind}`, async () => {
      let broken = true
      const local = createLimits()
      const waiting = createWaitingRoom({
        take: local.take,
        enter(key, max) {
          if (!broken) return local.enter(key, max)
          if (kind === 'at once') throw new Error('away')
          return Promise.reject(new Error('away'))
        },
      })
      // of four at once a caller may have two
      const wide = { ...room, most: 4, queueLength: 0 }
      for (let times = 0; times < 3; times += 1)
        await assert.rejects(async () => waiting.enter('k', wide, 'acme/a', here), {
          message: 'away',
        })
      broken = false
      const entered = [1, 2].map(() => waiting.enter('k', wide, 'acme/a', here))
      assert.ok(entered.every((leave) => typeof leave === 'function'))
    })

  it('lets the next in where one that waited has gone while limits were asked, and gives back what nobody wants', async () => {
    const local = createLimits()
    const asked: ((leave: Release | null) => void)[] = []
    const waiting = createWaitingRoom({
      take: local.take,
      enter: () => new Promise<Release | null>((resolve) => void asked.push(resolve)),
    })
    const gone = new AbortController()
    const first = waiting.enter('k', room, 'acme/a', here)
    const left: string[] = []
    asked.shift()?.(() => void left.push('first'))
    const leave = await first
    const second = assert.rejects(async () => waiting.enter('k', room, 'acme/b', gone.signal), {
      code: 'MESH_CALL_CANCELED',
    })
    await turn()
    leave()
    await turn()
    assert.equal(asked.length, 1, 'asked once, whoever looks')
    gone.abort()
    await second
    asked.shift()?.(() => void left.push('nobody'))
    await turn()
    assert.deepEqual(left, ['first', 'nobody'])
    assert.equal(asked.length, 0)
  })

  it('listens no more to one that has been let in', async () => {
    const waiting = createWaitingRoom(createLimits())
    const long = { ...room, queueMs: 600_000 }
    const first = waiting.enter('k', long, 'acme/a', here)
    assert.ok(typeof first === 'function')
    const gone = new AbortController()
    const second = waiting.enter('k', long, 'acme/b', gone.signal)
    const third = assert.rejects(async () => waiting.enter('k', long, 'acme/c', gone.signal))
    first()
    const leave = await second
    assert.equal(getEventListeners(gone.signal, 'abort').length, 1, 'of the one that waits')
    gone.abort()
    await third
    leave()
    await turn()
  })
})
