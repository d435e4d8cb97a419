import assert from 'node:assert/strict'
import type { RevocationEntry } from '../../../mesh-gateway/src/revocation/entry.ts'
import {
  type Change,
  firstMark,
  formatChange,
  formatEntry,
  formatHeader,
  formatSeal,
  type Position,
  parseBeginning,
  parseChange,
  parseHeader,
} from '../../../mesh-gateway/src/revocation/journal-lines.ts'

const LIST = '01890a5d-ac96-774b-bcce-b302099a8057'
const START: Position = {
  ...{ list: LIST, begunMs: 1_800_000_000_123, seq: 0, mark: firstMark(LIST) },
}
const ENTRY: RevocationEntry = {
  ...{ kind: 'token', value: 'jti', reason: null, since: '2026-11-29T12:00:00.000Z' },
  ...{ until: null, by: null },
}
const line = (text: string) => text.slice(0, -1)

describe('the header of a journal', () => {
  const good = JSON.parse(formatHeader(START))

  it('is read as it was written, wherever in the history of the list it stands', () => {
    for (const at of [START, { ...START, seq: 7 }, { ...START, begunMs: 0, mark: '0'.repeat(32) }])
      assert.deepEqual(parseHeader(line(formatHeader(at))), at)
  })

  it('is one of a journal, or none at all', () => {
    for (const text of ['', '{', 'null', '5', '[]', '{}', '{"revoked":[]}', '{"clawmesh":"x"}'])
      assert.equal(parseHeader(text), null, text)
  })

  it('says which list it is, and when and where in its history it begins, or what of it is wrong', () => {
    const list = /names no list$/
    const begun = /does not say when it was begun$/
    const where = /does not say where in the history/
    const table: [RegExp, object[]][] = [
      [/another version of mesh-gateway/, [undefined, 2, '1'].map((version) => ({ version }))],
      [
        list,
        [undefined, 5, '', `${LIST}0`, `x${LIST}`, LIST.slice(1)].map((one) => ({ list: one })),
      ],
      [
        begun,
        [undefined, 5, '', '2026-11-29', `${good.begun}0`, `0${good.begun}`].map((one) => ({
          begun: one,
        })),
      ],
      [where, [undefined, '0', -1, 0.5, 2 ** 53, null].map((seq) => ({ seq }))],
      [
        where,
        [undefined, 5, '', `${START.mark}0`, `0${START.mark}`, 'G'.repeat(32)].map((mark) => ({
          mark,
        })),
      ],
    ]
    for (const [says, changes] of table)
      for (const change of changes) {
        const read = parseHeader(JSON.stringify({ ...good, ...change }))
        assert.ok(typeof read === 'string', JSON.stringify(change))
        assert.match(read, says, JSON.stringify(change))
      }
  })
})

describe('the beginning of a journal', () => {
  it('is entries, and a seal that says how many and which', () => {
    assert.deepEqual(parseBeginning(line(formatEntry(ENTRY))), ENTRY)
    assert.deepEqual(parseBeginning(line(formatSeal(0, 'ab'))), { entries: 0, sha256: 'ab' })
    for (const text of ['', '{', 'null', '5'])
      assert.equal(parseBeginning(text), 'is not JSON', text)
    for (const odd of [
      { entries: 1 },
      { entries: '1', sha256: 'x' },
      { entries: 1, sha256: 5 },
      {},
    ])
      assert.equal(typeof parseBeginning(JSON.stringify(odd)), 'string', JSON.stringify(odd))
  })
})

describe('a change in a journal', () => {
  const changes: Change[] = [
    { add: ENTRY },
    { undo: { kind: 'token', value: 'jti' } },
    { add: { ...ENTRY, value: 'other', by: 'acme/bot' } },
  ]
  const written = (list: readonly Change[], from = START) => {
    let at = from
    return list.map((change) => {
      const { line: text, after } = formatChange(at, change)
      const before = at
      at = after
      return { text: line(text), before, after, change }
    })
  }

  it('is read as it was written, after the one before it', () => {
    for (const { text, before, after, change } of written(changes)) {
      assert.deepEqual(parseChange(text, before), { change, after })
      assert.equal(after.seq, before.seq + 1)
      assert.match(after.mark, /^[0-9a-f]{32}$/)
      assert.deepEqual({ ...after, seq: 0, mark: '' }, { ...before, seq: 0, mark: '' })
    }
    const marks = written(changes).map(({ after }) => after.mark)
    assert.equal(new Set(marks).size, 3)
  })

  it('is taken at its own place in its own list alone', () => {
    const [first, second] = written(changes)
    assert.ok(first && second)
    const gap = /^is not change \d+: one is missing, or was put in$/
    const altered = /one was altered$/
    const other = { ...START, mark: firstMark('another') }
    for (const [text, before, says] of [
      ...(['', '{', 'null', '5'] as const).map((one) => [one, START, /^is not JSON$/] as const),
      [second.text, START, gap],
      [first.text, first.after, gap],
      [first.text, other, altered],
      [first.text.replace('jti', 'jto'), START, altered],
      [first.text.replace('null', '"x"'), START, altered],
      [first.text.replace(/"mark":"./, '"mark":"x'), START, altered],
      [`${first.text} `, START, altered],
      [`${first.text.slice(0, -1)},"x":1}`, START, altered],
    ] as const) {
      const read = parseChange(text, before)
      assert.ok(typeof read === 'string', text)
      assert.match(read, says, text)
    }
  })

  it('holds an entry, or takes one back that a list can hold, whoever signed for it', () => {
    const undo = /^takes back nothing that a list can hold$/
    const none = /^an entry is not an object$/
    // as formatChange marks them, so that nothing but the content is wrong
    const sealed = (content: object): ReturnType<typeof formatChange> =>
      Reflect.apply(formatChange, null, [START, content])
    for (const [content, says] of [
      [{}, none],
      [{ add: null }, none],
      [{ add: { ...ENTRY, kind: 'x' } }, /^the kind of an entry/],
      ...[null, 5, 'x', {}, { kind: 'token' }, { value: 'jti' }].map((one) => [
        { undo: one },
        undo,
      ]),
      [{ undo: { kind: 'x', value: 'jti' } }, undo],
      [{ undo: { kind: 'token', value: 5 } }, undo],
      [{ undo: { kind: 'token', value: 'a b' } }, undo],
      [{ undo: { kind: 'agent', value: 'jti' } }, undo],
    ] as [object, RegExp][]) {
      const read = parseChange(line(sealed(content).line), START)
      assert.ok(typeof read === 'string', JSON.stringify(content))
      assert.match(read, says, JSON.stringify(content))
    }
  })
})
