import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { LargestSource } from '../../../mesh-gateway/src/limits/largest-source.ts'

describe('the source with the most connections', () => {
  it('is found after any opening and closing, and is none when all have closed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.boolean()), { maxLength: 60 }),
        (steps) => {
          const ranking = new LargestSource<string>()
          const counts: Record<string, number> = { a: 0, b: 0, c: 0 }
          const check = () => {
            const most = Math.max(...Object.values(counts))
            const largest = ranking.largest()
            assert.equal(largest === null ? 0 : counts[largest], most)
          }
          const change = (source: string, by: 1 | -1) => {
            const before = counts[source] ?? 0
            if (before + by < 0) return
            counts[source] = before + by
            ranking.changed(source, before, before + by)
            check()
          }
          check()
          for (const [source, opens] of steps) change(source, opens ? 1 : -1)
          for (const source of ['a', 'b', 'c'])
            for (let left = counts[source] ?? 0; left > 0; left -= 1) change(source, -1)
          assert.equal(ranking.largest(), null)
        },
      ),
      { numRuns: 200 },
    )
  })
  it('is forgotten when its last connection has closed', async () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage: () => void = runInNewContext('gc')
    const ranking = new LargestSource<object>()
    const openAndClose = () => {
      const source = {}
      ranking.changed(source, 0, 1)
      ranking.changed(source, 1, 0)
      return new WeakRef(source)
    }
    const source = openAndClose()
    await turn()
    collectGarbage()
    assert.equal(source.deref(), undefined)
    assert.equal(ranking.largest(), null)
  })
})
