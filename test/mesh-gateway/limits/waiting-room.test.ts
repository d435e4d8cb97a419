import assert from 'node:assert/strict'
import { createLimits } from '../../../mesh-gateway/src/limits/create-limits.ts'
import type { Leave, Limits } from '../../../mesh-gateway/src/limits/limits.ts'
import { createWaitingRoom, type Room } from '../../../mesh-gateway/src/limits/waiting-room.ts'

const room: Room = { what: 'tasks of acme/b', most: 1, queueLength: 3, queueMs: 5_000 }
const here = new AbortController().signal
const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('a waiting room', () => {
  it('lets in at once when there is room', () => {
    const waiting = createWaitingRoom(createLimits())
    assert.equal(typeof waiting.enter('k', room, here), 'function')
  })

  it('lets in who came first, each as soon as somebody leaves', async () => {
    const waiting = createWaitingRoom(createLimits())
    const order: number[] = []
    const first = waiting.enter('k', room, here)
    assert.ok(typeof first === 'function')
    const rest = [1, 2, 3].map(async (n) => {
      const leave = await waiting.enter('k', room, here)
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
    assert.equal(typeof waiting.enter('k', room, here), 'function', 'and is empty again')
  })

  it('nobody who comes later goes ahead of who waits', async () => {
    const waiting = createWaitingRoom(createLimits())
    const first = waiting.enter('k', room, here)
    const second = waiting.enter('k', room, here)
    assert.ok(typeof first === 'function' && second instanceof Promise)
    first()
    const third = waiting.enter('k', room, here)
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
    const leave = waiting.enter('k', room, here)
    assert.ok(typeof leave === 'function')
    const short = { ...room, queueMs: 20, queueLength: 1 }
    const waits = waiting.enter('k', short, here)
    await assert.rejects(async () => waiting.enter('k', short, here), {
      code: 'MESH_LIMIT_CONCURRENCY',
      retryAfterMs: 1_000,
    })
    await assert.rejects(async () => waits, { code: 'MESH_LIMIT_CONCURRENCY', retryAfterMs: 1_000 })
    leave()
    assert.equal(typeof waiting.enter('k', room, here), 'function')
    await assert.rejects(async () => waiting.enter('k', { ...room, queueLength: 0 }, here), {
      code: 'MESH_LIMIT_CONCURRENCY',
    })
  })

  it('who has gone while waiting takes nobody’s place', async () => {
    const waiting = createWaitingRoom(createLimits())
    const first = waiting.enter('k', room, here)
    assert.ok(typeof first === 'function')
    const gone = new AbortController()
    const second = waiting.enter('k', room, gone.signal)
    const third = waiting.enter('k', room, here)
    gone.abort()
    await assert.rejects(async () => second, { code: 'MESH_CALL_CANCELED' })
    first()
    ;(await third)()
    await assert.rejects(
      async () => {
        const held = waiting.enter('k', room, here)
        assert.ok(typeof held === 'function')
        await waiting.enter('k', room, gone.signal)
      },
      { code: 'MESH_CALL_CANCELED' },
    )
  })

  it('looks by itself where another gateway makes room, and gives up where limits cannot be judged', async () => {
    const local = createLimits()
    let broken = false
    const shared: Limits = {
      take: local.take,
      async enter(key, max): Promise<Leave | null> {
        if (broken) throw new Error('away')
        return local.enter(key, max)
      },
    }
    const waiting = createWaitingRoom(shared)
    const elsewhere = local.enter('k', 1)
    const waits = waiting.enter('k', room, here)
    await turn()
    elsewhere?.()
    const leave = await waits
    const never = waiting.enter('k', room, here)
    await turn()
    broken = true
    await assert.rejects(async () => never, { message: 'away' })
    leave()
  })
})
