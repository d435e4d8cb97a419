/** Text that somebody else wrote moves no cursor, begins no line and reorders nothing. */
import assert from 'node:assert/strict'
import { printable, printableJson, printableLines } from '@clawmesh/proto'
import fc from 'fast-check'
import { anyText } from '../support/any-text.ts'

const HOSTILE = anyText().map((text) => `${text}\u202e\u2066\u001b[2J\u009b\r`)
const MOVES = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u

describe('text for a terminal', () => {
  it('is one line of what can be seen', () => {
    fc.assert(fc.property(HOSTILE, (text) => !MOVES.test(printable(text))))
    assert.equal(printable('Zürich 東京'), 'Zürich 東京')
  })

  it('keeps its line feeds, and nothing else that moves the cursor, where it has lines', () => {
    fc.assert(
      fc.property(HOSTILE, (text) => !MOVES.test(printableLines(text).replaceAll('\n', ''))),
    )
    assert.equal(printableLines('a\nb\r\u202e'), 'a\nb??')
  })

  it('reads back as the same value where it is JSON, on one line or on several', () => {
    fc.assert(
      fc.property(HOSTILE, fc.constantFrom(0, 2), (text, indent) => {
        const json = printableJson({ [text]: [text] }, indent)
        assert.ok(!MOVES.test(json.replaceAll('\n', '')))
        assert.deepEqual(JSON.parse(json), { [text]: [text] })
      }),
    )
  })
})
