/** Readings of a directory are believed when two of them agree; a file that never holds still is judged in the end. */
import assert from 'node:assert/strict'
import type {
  RawDirectory,
  RawFile,
} from '../../../../mesh-gateway/src/policy/read/read-directory.ts'
import { createSettled } from '../../../../mesh-gateway/src/policy/read/settled.ts'

/** A directory with these files, by name what they hold; null of one that cannot be read. */
function raw(
  files: Record<string, string | null>,
  problem: RawDirectory['problem'] = null,
): RawDirectory {
  const read = Object.entries(files).map(
    ([name, text]): RawFile =>
      text === null
        ? { name, bytes: null, problem: 'cannot be read', digest: null }
        : { name, bytes: Buffer.from(text), problem: null, digest: text },
  )
  return {
    absent: false,
    files: read,
    problem,
    ignored: [],
    digest: JSON.stringify([files, problem]),
  }
}
const names = (files: readonly RawFile[] | undefined) => files?.map(({ name }) => name)

describe('a reading of policy', () => {
  it('is believed when it is what was read before', () => {
    const settled = createSettled()
    const first = raw({ a: '1' })
    settled.begin(first)
    assert.deepEqual(settled.believed(first), { files: first.files, raw: first, whole: true })
    const next = raw({ a: '2' })
    assert.equal(settled.believed(next), null)
    assert.deepEqual(settled.believed(next), { files: next.files, raw: next, whole: true })
  })

  it('is not believed as a whole while it changes, and file by file from the third on', () => {
    const settled = createSettled()
    settled.begin(raw({ a: '0', b: '0' }))
    assert.equal(settled.believed(raw({ a: '1', b: '1' })), null)
    assert.equal(settled.believed(raw({ a: '2', b: '1' })), null)
    const third = settled.believed(raw({ a: '3', b: '1' }))
    assert.deepEqual([names(third?.files), third?.whole], [['b'], false])
    assert.deepEqual(names(third?.raw.files), ['a', 'b'])
    // once it holds still, all of it
    assert.equal(settled.believed(raw({ a: '3', b: '1' }))?.whole, true)
    // and then it takes three again
    assert.equal(settled.believed(raw({ a: '4', b: '1' })), null)
    assert.equal(settled.believed(raw({ a: '5', b: '1' })), null)
    assert.notEqual(settled.believed(raw({ a: '6', b: '1' })), null)
  })

  it('has a file judged as it is, after it differed in ten readings', () => {
    const settled = createSettled()
    settled.begin(raw({ a: '0', b: '0' }))
    for (let turn = 1; turn <= 12; turn += 1) {
      const believed = settled.believed(raw({ a: `${turn}`, b: '0' }))
      if (turn < 3) assert.equal(believed, null)
      else assert.deepEqual(names(believed?.files), turn < 10 ? ['b'] : ['a', 'b'], `${turn}`)
    }
    // what held still once begins anew
    settled.believed(raw({ a: '12', b: '0' }))
    for (const turn of [13, 14, 15])
      assert.deepEqual(
        names(settled.believed(raw({ a: `${turn}`, b: '0' }))?.files),
        turn < 15 ? undefined : ['b'],
      )
  })

  it('says of a file that has just gone that it has, until that is believed', () => {
    const settled = createSettled()
    settled.begin(raw({ a: '0', b: '0' }))
    assert.equal(settled.believed(raw({ a: '1', b: '0' })), null)
    assert.equal(settled.believed(raw({ a: '2', b: '0' })), null)
    const gone = settled.believed(raw({ a: '3' }))
    assert.deepEqual(names(gone?.files), [])
    assert.deepEqual(gone?.raw.files.slice(1), [
      { name: 'b', bytes: null, problem: 'has gone', digest: null },
    ])
    // two readings without it agree
    assert.deepEqual(names(settled.believed(raw({ a: '4' }))?.raw.files), ['a'])
  })

  it('says of a file that comes and goes that it has gone, when it is gone in the tenth reading', () => {
    const settled = createSettled()
    settled.begin(raw({ a: '0' }))
    for (let turn = 1; turn <= 12; turn += 1) {
      const files = { a: `${turn}`, ...(turn % 2 === 0 ? {} : { b: '0' }) }
      const believed = settled.believed(raw(files))
      if (turn < 3 || turn % 2 === 1) continue
      assert.deepEqual(names(believed?.raw.files), turn < 10 ? ['a', 'b'] : ['a'], `${turn}`)
    }
  })

  it('has what cannot be read as content of its own, and passes a problem of the directory on', () => {
    const settled = createSettled()
    settled.begin(raw({ a: '0' }))
    assert.equal(settled.believed(raw({ a: null })), null)
    assert.equal(settled.believed(raw({ a: null }))?.whole, true)
    const problem = { file: 'x', pointer: '', line: null, column: null, message: 'm' }
    assert.equal(settled.believed(raw({}, problem)), null)
    assert.equal(settled.believed(raw({ a: '1' }, problem)), null)
    assert.equal(settled.believed(raw({ a: '2' }, problem))?.raw.problem, problem)
  })
})
