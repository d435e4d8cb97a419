import assert from 'node:assert/strict'
import { type CalmWindow, inCalmRounds, remarkOnOthers } from '../../bench/suites/calm-windows.ts'

const WINDOW = { completed: 1, failed: 0, wallMs: 1, cpuMs: 1, p50Ms: 1, p99Ms: 1 }
const sharing = (...others: number[]): CalmWindow[] =>
  others.map((one) => ({ ...WINDOW, others: one }))

describe('windows of contestants', () => {
  it('come with a warning when others had much of the core in most of them', () => {
    const calm = { ours: sharing(0.01, 0.5, 0.1), direct: sharing(Number.NaN, Number.NaN) }
    assert.deepEqual(remarkOnOthers(calm), [])
    const [remark = ''] = remarkOnOthers({ ...calm, squid: sharing(0.3, 0.4, 0.1) })
    assert.match(remark, /busy.* 30 %/)
  })

  it('are taken in turns; nobody says what others did to what has no core of its own', async () => {
    const seen: string[] = []
    const contestants = ['a', 'b'].map((name) => {
      return { name, port: 0, pids: () => [], stop: async () => {} }
    })
    const cores = { tested: 0, rest: 0, note: '' }
    const windows = await inCalmRounds(
      { rounds: 1, contestants, cores, quick: false },
      async ({ name }) => {
        seen.push(name)
        return WINDOW
      },
    )
    assert.deepEqual(seen, ['a', 'b'])
    assert.ok(Number.isNaN(windows.a?.[0]?.others))
  })
})
