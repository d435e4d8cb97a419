import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { startTimer } from '../../../agent-sdk/src/model/long-timer.ts'

const LONGEST_MS = 2 ** 31 - 1

describe('a timer for any length', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
  afterEach(() => mock.timers.reset())
  const start = (ms: number) => {
    const state = { fired: 0 }
    const stop = startTimer(ms, () => {
      state.fired += 1
    })
    return { state, stop }
  }

  it('fires once, when its time has come', () => {
    for (const ms of [1, 1_000, LONGEST_MS, LONGEST_MS + 1, 2 * LONGEST_MS, 3 * LONGEST_MS + 5]) {
      const { state } = start(ms)
      for (let left = ms - 1; left > 0; left -= LONGEST_MS)
        mock.timers.tick(Math.min(left, LONGEST_MS))
      assert.equal(state.fired, 0, `${ms}`)
      mock.timers.tick(1)
      assert.equal(state.fired, 1, `${ms}`)
      mock.timers.tick(LONGEST_MS)
      assert.equal(state.fired, 1, `${ms}`)
    }
  })

  it('fires at once for a time that is past, and never for none', () => {
    const past = start(-5)
    const never = start(Number.POSITIVE_INFINITY)
    mock.timers.tick(1)
    assert.equal(past.state.fired, 1)
    for (let i = 0; i < 5; i += 1) mock.timers.tick(LONGEST_MS)
    assert.equal(never.state.fired, 0)
    never.stop()
  })

  it('is stopped, in its first stretch or in a later one', () => {
    const first = start(10)
    const later = start(LONGEST_MS + 10)
    first.stop()
    mock.timers.tick(LONGEST_MS)
    later.stop()
    mock.timers.tick(LONGEST_MS)
    assert.deepEqual([first.state.fired, later.state.fired], [0, 0])
  })
})
