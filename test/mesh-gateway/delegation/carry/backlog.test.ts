/** What waits for slow readers: bounded for each connection, and in all. */
import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { mock } from 'node:test'
import { createBacklog } from '../../../../mesh-gateway/src/delegation/carry/backlog.ts'

const WINDOW = 100

describe('what waits for slow readers', () => {
  let cut: string[]
  beforeEach(() => {
    cut = []
    mock.timers.enable({ apis: ['setTimeout'] })
  })
  afterEach(() => mock.timers.reset())

  /** A call that holds so many bytes, in parts on both sides. */
  const stalled = (
    backlog: ReturnType<typeof createBacklog>,
    name: string,
    bytes: number,
    connection: object = {},
  ) => {
    const [from, to] = [new PassThrough(), new PassThrough()]
    from.write(Buffer.alloc(Math.ceil(bytes / 2)))
    to.cork()
    to.write(Buffer.alloc(Math.floor(bytes / 2)))
    const goOn = backlog.stalled({ from, to, connection, cut: () => void cut.push(name) })
    return { from, to, goOn }
  }

  it('is ended beyond the limit, what has stood still longest first, and no more than that', () => {
    const backlog = createBacklog(400, WINDOW)
    for (const name of ['a', 'b', 'c', 'd']) stalled(backlog, name, 100)
    backlog.sweep()
    assert.deepEqual(cut, [], 'at the limit')
    stalled(backlog, 'e', 1)
    backlog.sweep()
    assert.deepEqual(cut, ['a'])
    backlog.sweep()
    assert.deepEqual(cut, ['a'])
  })

  it('of one connection has half of the limit: its calls are ended, and nobody else’s', () => {
    const backlog = createBacklog(400, WINDOW)
    const greedy = {}
    stalled(backlog, 'other', 100)
    stalled(backlog, 'one', 100, greedy)
    stalled(backlog, 'two', 100, greedy)
    backlog.sweep()
    assert.deepEqual(cut, [], 'at half of it')
    stalled(backlog, 'three', 2, greedy)
    backlog.sweep()
    assert.deepEqual(cut, ['one'])
  })

  it('counts no more once the call goes on, or has gone', () => {
    const backlog = createBacklog(400, WINDOW)
    const one = stalled(backlog, 'goes on', 200)
    const two = stalled(backlog, 'its caller has gone', 200)
    const three = stalled(backlog, 'its callee has gone', 200)
    one.goOn()
    two.from.destroy()
    three.to.destroy()
    stalled(backlog, 'stays', 150)
    stalled(backlog, 'stays too', 150)
    backlog.sweep()
    assert.deepEqual(cut, [])
  })

  it('is looked at by itself while it could be too much, since it fills up and tells nobody', () => {
    const backlog = createBacklog(400, WINDOW)
    const two = [stalled(backlog, 'a', 0), stalled(backlog, 'b', 0)]
    for (const { from } of two) from.write(Buffer.alloc(300))
    mock.timers.tick(1_000)
    assert.deepEqual(cut, [], 'two windows are half of the limit')
    const third = stalled(backlog, 'c', 0)
    mock.timers.tick(49)
    assert.deepEqual(cut, [])
    mock.timers.tick(1)
    assert.deepEqual(cut, ['a', 'b'], 'each is beyond its share')
    third.goOn()
    const later = ['d', 'e', 'f'].map((name) => stalled(backlog, name, 0))
    mock.timers.tick(50)
    later[0]?.from.write(Buffer.alloc(300))
    mock.timers.tick(50)
    assert.deepEqual(cut.slice(2), ['d'])
  })
})
