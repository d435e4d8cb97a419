import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { closedLoop, openLoop } from '../../bench/measure/load-window.ts'

const options = { warmMs: 20, windowMs: 200, pids: [process.pid] }

describe('load of the bench', () => {
  it('keeps as many in flight as asked, and counts good and bad apart', async () => {
    let inFlight = 0
    let most = 0
    let turn = 0
    const window = await closedLoop(
      async (_slot, done) => {
        most = Math.max(most, ++inFlight)
        await sleep(2)
        inFlight--
        done(turn++ % 2 === 0)
      },
      4,
      options,
    )
    assert.equal(most, 4)
    assert.equal(inFlight, 0)
    assert.ok(window.completed > 10, `${window.completed} done`)
    assert.ok(Math.abs(window.completed - window.failed) <= 4)
    assert.ok(window.cpuMs > 0 && window.p50Ms >= 1)
  })

  it('starts calls on time in an open loop, and counts what a stall kept waiting', async () => {
    let stalled = false
    const window = await openLoop(
      (_slot, done) => {
        if (!stalled) {
          stalled = true
          const until = performance.now() + 100
          while (performance.now() < until);
        }
        done(true)
      },
      500,
      1,
      { ...options, warmMs: 0 },
    )
    assert.ok(window.p99Ms > 50, `p99 ${window.p99Ms} ms hides the stall`)
    const due = window.wallMs / 2
    // those that were due while it stalled are counted; how many more fit in is the machine's affair
    assert.ok(window.completed > due / 2, `${window.completed} of ${due}`)
  })

  it('goes on with a window in which nothing ended', async () => {
    const window = await closedLoop((_slot, done) => void setTimeout(done, 100, true), 1, {
      ...options,
      warmMs: 0,
      windowMs: 10,
    })
    assert.equal(window.completed, 1)
    assert.ok(window.wallMs >= 90, `${window.wallMs} ms`)
  })
})
