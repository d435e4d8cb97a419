import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { createSlices } from '../../../mesh-gateway/src/process/slices.ts'

/** A clock that each look moves on. */
function clock(stepMs: number) {
  let time = 0
  return Object.assign(
    () => {
      time += stepMs
      return time
    },
    { pass: (ms: number) => (time += ms) },
  )
}

describe('work in slices', () => {
  it('begins at once, lets others have their turn, and comes to its end', async () => {
    const seen: string[] = []
    const slices = createSlices({
      *work() {
        for (let i = 0; i < 20; i += 1) {
          seen.push('work')
          yield
        }
      },
      now: clock(5),
    })
    slices.start()
    assert.equal(seen.length, 8)
    for (let i = 0; i < 4; i += 1) {
      seen.push('other')
      await turn()
    }
    assert.equal(seen.filter((one) => one === 'work').length, 20)
    assert.ok(seen.lastIndexOf('work') > seen.indexOf('other'))
  })

  it('does not run twice at once, and begins anew when it has ended', async () => {
    let runs = 0
    let inside = 0
    const slices = createSlices({
      *work() {
        runs += 1
        inside += 1
        assert.equal(inside, 1)
        for (let i = 0; i < 20; i += 1) yield
        inside -= 1
      },
      now: clock(5),
    })
    slices.start()
    slices.start()
    while (inside > 0) await turn()
    assert.equal(runs, 1)
    slices.start()
    assert.equal(runs, 2)
    while (inside > 0) await turn()
  })

  it('can begin again after it has failed', () => {
    let runs = 0
    const slices = createSlices({
      // biome-ignore lint/correctness/useYield: it fails before it comes to one
      *work() {
        runs += 1
        throw new Error('once')
      },
    })
    assert.throws(() => slices.start(), /once/)
    assert.throws(() => slices.start(), /once/)
    assert.equal(runs, 2)
  })

  it('takes more at a time when it has gone on for long beside others who take long', async () => {
    const time = clock(1)
    let steps = 0
    const slices = createSlices({
      *work() {
        for (;;) {
          steps += 1
          if (steps > 5_000) return
          yield
        }
      },
      now: time,
    })
    const sizes: number[] = []
    slices.start()
    for (let i = 0; i < 30; i += 1) {
      const before = steps
      // what others take in this turn
      time.pass(60)
      await turn()
      sizes.push(steps - before)
    }
    assert.ok((sizes.at(-1) ?? 0) > 2 * (sizes[0] ?? 0), sizes.join(' '))
    while (steps <= 5_000) await turn()
  })
})
