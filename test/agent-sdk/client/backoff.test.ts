import assert from 'node:assert/strict'
import { syncBuiltinESMExports } from 'node:module'
import { mock } from 'node:test'
import { createBackoff } from '../../../agent-sdk/src/client/backoff.ts'

describe('waiting before another try', () => {
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] })
    syncBuiltinESMExports()
  })
  afterEach(() => {
    mock.timers.reset()
    syncBuiltinESMExports()
  })
  const never = new AbortController().signal

  /** How long it waits, to the millisecond. */
  const lasts = async (wait: Promise<void>) => {
    let over = false
    void wait.then(() => {
      over = true
    })
    for (let ms = 0; ; ms += 1) {
      await null
      await null
      await null
      if (over) return ms
      assert.ok(ms < 10_000)
      mock.timers.tick(1)
    }
  }

  it('takes twice as long each time up to a bound, and begins anew when told so', async () => {
    const { wait, reset } = createBackoff({ firstMs: 10, maxMs: 50 }, () => 1)
    const waited: number[] = []
    for (let i = 0; i < 5; i += 1) waited.push(await lasts(wait(never)))
    assert.deepEqual(waited, [10, 20, 40, 50, 50])
    reset()
    assert.equal(await lasts(wait(never)), 10)
  })

  it('takes between half of that and all of it, by chance', async () => {
    const half = createBackoff({ firstMs: 10, maxMs: 50 }, () => 0)
    assert.deepEqual([await lasts(half.wait(never)), await lasts(half.wait(never))], [5, 10])
    const some = createBackoff({ firstMs: 10, maxMs: 50 }, () => 0.6)
    assert.equal(await lasts(some.wait(never)), 8)
  })

  it('takes as long as it is asked to at least, and no longer for that', async () => {
    const { wait } = createBackoff({ firstMs: 10, maxMs: 50 }, () => 1)
    assert.equal(await lasts(wait(never, 500)), 500)
    assert.equal(await lasts(wait(never, 5)), 20)
  })

  it('takes 5 seconds at most, however often it was tried', async () => {
    const { wait } = createBackoff(undefined, () => 1)
    const waited: number[] = []
    for (let i = 0; i < 40; i += 1) {
      const done = wait(never)
      mock.timers.tick(5_000)
      await done
    }
    waited.push(await lasts(wait(never)))
    assert.deepEqual(waited, [5_000])
    assert.equal(await lasts(createBackoff(undefined, () => 1).wait(never)), 100)
  })

  it('ends at once when it is let go of', async () => {
    const controller = new AbortController()
    const waiting = createBackoff().wait(controller.signal)
    controller.abort(new Error('let go of'))
    await assert.rejects(waiting, { name: 'AbortError' })
    await assert.rejects(createBackoff().wait(controller.signal), { name: 'AbortError' })
  })
})
