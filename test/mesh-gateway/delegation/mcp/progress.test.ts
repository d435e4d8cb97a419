/** What a client hears of a call that goes on. */
import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { reportProgress } from '../../../../mesh-gateway/src/delegation/mcp/progress.ts'

describe('the progress of a call by MCP', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setInterval'] }))
  afterEach(() => mock.timers.reset())

  /** What is told under a token: progress, total and words. */
  function report(progressToken: unknown = 'token') {
    const told: unknown[][] = []
    const { tell, stop } = reportProgress(
      { _meta: { progressToken } },
      {
        notify(message) {
          assert.ok('params' in message && 'method' in message)
          assert.equal(message.method, 'notifications/progress')
          const { progressToken: token, ...rest } = Object(message.params)
          assert.equal(token, progressToken)
          told.push([rest.progress, rest.total, rest.message])
        },
      },
    )
    return { told, tell, stop }
  }

  it('is what the peer tells, and grows each time though the peer goes back', () => {
    const { told, tell, stop } = report(7)
    tell({ fraction: 0.5, note: 'half' })
    tell({ fraction: 0.25, note: 'a quarter' })
    tell({ fraction: null, note: '' })
    tell({ fraction: 1, note: 'all' })
    tell({ fraction: 1, note: 'nearly' })
    stop()
    assert.deepEqual(told[0], [0.5, 1, 'half'])
    assert.deepEqual(
      told.map(([, , words]) => words),
      ['half', 'a quarter', undefined, 'all', 'nearly'],
    )
    const values = told.map(([progress]) => Number(progress))
    assert.ok(values.every((value, n) => n === 0 || value > Number(values[n - 1])))
    assert.ok(told.every(([progress, total]) => Number(progress) <= Number(total)))
  })

  it('is a sign of life after five seconds of silence, until it is over, with the last words', () => {
    const { told, tell, stop } = report()
    mock.timers.tick(4_999)
    assert.equal(told.length, 0)
    mock.timers.tick(1)
    assert.deepEqual(told, [[0.000_01, 1, undefined]])
    tell({ fraction: 0.5, note: 'half' })
    mock.timers.tick(10_000)
    assert.deepEqual(
      told.slice(1).map(([, , words]) => words),
      ['half', 'half', 'half'],
    )
    stop()
    mock.timers.tick(60_000)
    assert.equal(told.length, 4)
  })

  it('is not told without a token', () => {
    for (const none of [null, {}, 'x'.repeat(257)]) {
      const { told, tell, stop } = report(none)
      tell({ fraction: 0.5, note: '' })
      mock.timers.tick(60_000)
      stop()
      assert.equal(told.length, 0)
    }
    const { tell, stop } = reportProgress({}, { notify: () => assert.fail('nobody asked') })
    tell({ fraction: 0.5, note: '' })
    stop()
  })
})
