import assert from 'node:assert/strict'
import { type ClockWatch, watchClock } from '../../../mesh-gateway/src/process/watch-clock.ts'

describe('a clock that is set', () => {
  let wallMs: number
  let passedMs: number
  let told: [level: string, fields: unknown, message: string][]
  let watch: ClockWatch
  beforeEach(() => {
    wallMs = Date.UTC(2026, 10, 29, 12)
    passedMs = 0
    told = []
    const tell = (level: string) => (fields: object, message: string) =>
      void told.push([level, fields, message])
    watch = watchClock({
      log: { info: tell('info'), warn: tell('warn') },
      now: () => wallMs,
      monotonicNow: () => passedMs,
    })
  })
  afterEach(() => watch.close())

  function pass(ms: number, stepMs = 0) {
    passedMs += ms
    wallMs += ms + stepMs
    watch.look()
  }

  it('back is a warning that says how far and what follows, once', () => {
    pass(1_000)
    pass(1_000, -600_000)
    pass(1_000)
    assert.deepEqual(told, [
      [
        'warn',
        { step_ms: -600_000, now: '2026-11-29T11:50:02.000Z' },
        'the clock went back by 600 s: certificates and tokens of that time are refused on new connections until it has passed',
      ],
    ])
  })

  it('forward is told, as is a machine that slept', () => {
    pass(1_000, 3_600_000)
    assert.equal(told.length, 1)
    assert.equal(told[0]?.[0], 'info')
    assert.equal(told[0]?.[2], 'the clock went forward by 3600 s')
  })

  it('by little, or left alone for long, is not told', () => {
    pass(1_000, -1_999)
    pass(3_600_000)
    assert.deepEqual(told, [])
    pass(1_000, -2_000)
    assert.equal(told.length, 1)
  })
})
