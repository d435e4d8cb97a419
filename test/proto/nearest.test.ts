import assert from 'node:assert/strict'
import { nearest } from '@clawmesh/proto'
import fc from 'fast-check'

/** Letters inserted, left out, replaced, or swapped with their neighbour: the whole table. */
function edits(a: string, b: string): number {
  const table: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  const at = (i: number, j: number) => table[i]?.[j] ?? Number.POSITIVE_INFINITY
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i]
    table.push(row)
    for (let j = 1; j <= b.length; j += 1) {
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      row.push(
        Math.min(
          at(i - 1, j) + 1,
          at(i, j - 1) + 1,
          at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1),
          i > 1 && j > 1 && swapped ? at(i - 2, j - 2) + 1 : Number.POSITIVE_INFINITY,
        ),
      )
    }
  }
  return at(a.length, b.length)
}

describe('the nearest name', () => {
  const seed = Date.now() % 2 ** 31
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 9 })

  it(`is the first of those with the fewest edits, and none beyond the most (seed ${seed})`, () => {
    fc.assert(
      fc.property(word, fc.array(word, { maxLength: 6 }), fc.nat(5), (name, candidates, most) => {
        const begun = candidates.find((one) => name.length > 2 && one.startsWith(name))
        const near = candidates.filter((one) => edits(name, one) <= most)
        const fewest = Math.min(...near.map((one) => edits(name, one)))
        const found = nearest(name, candidates, most)
        if (begun !== undefined && found === begun) return
        assert.equal(found, near.find((one) => edits(name, one) === fewest) ?? null)
      }),
      { numRuns: 1000, seed },
    )
  })

  it('knows what people mistype', () => {
    assert.equal(nearest('alow', ['deny', 'allow']), 'allow')
    assert.equal(nearest('apii.test', ['api.test', 'app.test']), 'api.test')
    assert.equal(nearest('ipa.test', ['api.test'], 2), 'api.test')
    assert.equal(nearest('xyz', ['allow', 'deny']), null)
  })
})
