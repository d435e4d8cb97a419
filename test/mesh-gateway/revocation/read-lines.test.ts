import assert from 'node:assert/strict'
import { type LinesOptions, readLines } from '../../../mesh-gateway/src/revocation/read-lines.ts'

const PIECE_BYTES = 65_536

describe('the lines of a file', () => {
  let asked: [length: number, position: number][]
  beforeEach(() => {
    asked = []
  })
  /** @param most what the disk gives at once */
  const read = async (text: string, options: Partial<LinesOptions> = {}, most = Infinity) => {
    const bytes = Buffer.from(text)
    const file = {
      read: async (buffer: Buffer, offset: number, length: number, position: number) => {
        asked.push([length, position])
        const end = Math.min(position + length, position + most, bytes.length)
        return { bytesRead: bytes.copy(buffer, offset, position, end), buffer }
      },
    }
    const lines: string[] = []
    const all = { from: 0, to: bytes.length, maxLineBytes: 1_000_000, ...options }
    for await (const some of readLines(file, all)) lines.push(...some)
    return lines
  }

  it('are those that have an end, from a byte to another', async () => {
    assert.deepEqual(await read(''), [])
    assert.deepEqual(asked, [])
    assert.deepEqual(await read('a'), [])
    assert.deepEqual(await read('\n'), [''])
    assert.deepEqual(await read('a\n\nbc\n'), ['a', '', 'bc'])
    assert.deepEqual(await read('a\nbc\nd'), ['a', 'bc'])
    assert.deepEqual(await read('a\nbc\nd\n', { from: 2 }), ['bc', 'd'])
    assert.deepEqual(await read('a\nbc\nd\n', { to: 6 }), ['a', 'bc'])
  })

  it('are whole, however the disk cuts them, and each byte is asked for once', async () => {
    const text = 'é one\nü two\n\nthree\n'
    for (const most of [1, 2, 3, 7]) {
      asked = []
      assert.deepEqual(await read(text, {}, most), ['é one', 'ü two', '', 'three'])
      assert.equal(asked.length, Math.ceil(Buffer.byteLength(text) / most))
    }
  })

  it('are read in pieces of 64 KiB, with the rest of one put before the next', async () => {
    const long = ['a'.repeat(PIECE_BYTES - 3), 'b'.repeat(PIECE_BYTES), 'c']
    assert.deepEqual(await read(`${long.join('\n')}\n`), long)
    assert.deepEqual(asked, [
      [PIECE_BYTES, 0],
      [PIECE_BYTES, PIECE_BYTES],
      [1, 2 * PIECE_BYTES],
    ])
  })

  it('end where a file is shorter by now than it was', async () => {
    assert.deepEqual(await read('a\nb', { to: 100 }), ['a'])
  })

  it('are no longer than they may be, also one that has no end yet', async () => {
    assert.deepEqual(await read('abc\nabc', { maxLineBytes: 3 }), ['abc'])
    await assert.rejects(read('a\nabcd', { maxLineBytes: 3 }), RangeError)
    await assert.rejects(read('abcd\n', { maxLineBytes: 3 }, 4), RangeError)
  })
})
