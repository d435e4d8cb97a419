import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { WirePart } from '../../../agent-sdk/src/wire/messages.ts'
import { createResultJoiner, cutResult, cutText } from '../../../agent-sdk/src/wire/pieces.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 3_000 })
const part: fc.Arbitrary<WirePart> = fc.oneof(
  text.map((value) => ({ text: value, media_type: '' })),
  text.map((value) => ({ json: JSON.stringify(value), media_type: '' })),
  fc
    .uint8Array({ maxLength: 5_000 })
    .map((bytes) => ({ bytes: Buffer.from(bytes), media_type: 'x' })),
  fc.constant({ artifact: { name: 'a', delegation_id: 'b', sha256: 'c' }, media_type: '' }),
)
// as it is after the wire: `content` names the member that is set
const arrived = (wire: WirePart): WirePart => ({
  ...wire,
  content:
    wire.text !== undefined
      ? 'text'
      : wire.json !== undefined
        ? 'json'
        : wire.bytes !== undefined
          ? 'bytes'
          : 'artifact',
})

describe('results in pieces', () => {
  it('are put together as they were, whatever their parts and the size of a piece', () => {
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 6 }),
        fc.integer({ min: 600, max: 4_000 }),
        (parts, size) => {
          const results = cutResult(parts, size)
          const joiner = createResultJoiner(1e9)
          results.forEach((result, index) => {
            const bytes = result.output.reduce(
              (sum, { text: t = '', json = '', bytes: b = [] }) =>
                sum + Buffer.byteLength(t) + Buffer.byteLength(json) + b.length,
              0,
            )
            assert.ok(bytes <= size, `${bytes} of ${size}`)
            const joined = joiner.add({ ...result, output: result.output.map(arrived) })
            assert.equal(joined !== null, index === results.length - 1)
            if (joined !== null) assert.deepEqual(joined, parts.map(arrived))
          })
        },
      ),
      { numRuns: 100 },
    )
  })

  it('text is never cut within a character', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 4, max: 50 }), (value, size) => {
        const pieces = cutText(value, size)
        assert.equal(pieces.join(''), value.toWellFormed())
        for (const piece of pieces) assert.ok(Buffer.byteLength(piece) <= size)
      }),
    )
  })

  it('more than the caller wants to hold is refused, empty pieces included', () => {
    const joiner = createResultJoiner(10_000)
    assert.throws(
      () => {
        for (;;) joiner.add({ output: [arrived({ text: '' })], more: true, continues: false })
      },
      { code: 'MESH_LIMIT_SIZE' },
    )
  })

  it('a piece that continues nothing is refused', () => {
    const joiner = createResultJoiner(10_000)
    assert.throws(
      () => joiner.add({ output: [arrived({ text: 'x' })], more: false, continues: true }),
      {
        code: 'MESH_PEER_PROTOCOL',
      },
    )
  })
})
