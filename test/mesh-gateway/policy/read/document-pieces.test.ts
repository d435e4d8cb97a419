/** A document is cut into pieces of bounded size, and put together again as it was. */
import assert from 'node:assert/strict'
import { PieceReader, piecesOf } from '../../../../mesh-gateway/src/policy/read/document-pieces.ts'

const together = (value: unknown): unknown => {
  const reader = new PieceReader()
  for (const piece of piecesOf(value)) reader.add(structuredClone(piece))
  return reader.value()
}
const counts = (value: unknown) => [...piecesOf(value)].map(({ kinds }) => kinds.length)

describe('the pieces of a document', () => {
  const values: unknown[] = [
    ...[null, true, false, 0, 1.5, '', 'text'],
    ...[[], {}, [[]], [{}], { a: {} }, { a: [] }],
    ...[[1, [2, [3]], 4], { a: { b: { c: 1 } }, d: 2 }, [{ a: [null] }, { b: [true] }]],
    { '': 1, '0': 2, constructor: 3 },
  ]
  for (const value of values)
    it(`come together again: ${JSON.stringify(value)}`, () => {
      assert.deepEqual(together(value), value)
      assert.equal(counts(value).length, 1)
    })

  it('have undefined as null, as JSON in a list has', () => {
    assert.deepEqual(together([undefined]), [null])
  })

  it('are cut after two thousand places, between two values', () => {
    const list = (length: number) => Array.from({ length }, (_, n) => n)
    // a list has a place for its beginning and one for its end
    assert.deepEqual(counts(list(1_999)), [2_001])
    assert.deepEqual(counts(list(2_000)), [2_000, 2])
    assert.deepEqual(counts(list(5_000)), [2_000, 2_000, 1_002])
    for (const length of [1_999, 2_000, 5_000])
      assert.deepEqual(together(list(length)), list(length))
    const members = Object.fromEntries(list(3_000).map((n) => [`k${n}`, { n }]))
    assert.deepEqual(together(members), members)
    assert.ok(counts(members).length > 5)
    const deep = list(500).reduce<unknown>((inner) => [inner, { inner: 1 }], 'x')
    assert.deepEqual(together(deep), deep)
  })

  it('are nothing until the last of them is there', () => {
    const reader = new PieceReader()
    const [first, last] = [...piecesOf(Array.from({ length: 2_000 }, () => 1))]
    assert.ok(first && last)
    reader.add(first)
    assert.equal(reader.value(), undefined)
    reader.add(last)
    assert.ok(Array.isArray(reader.value()))
  })
})
