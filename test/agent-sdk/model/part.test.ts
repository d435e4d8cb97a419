import assert from 'node:assert/strict'
import { jsonOf, type Part, textOf, toParts } from '../../../agent-sdk/src/model/part.ts'

const TEXT: Part = { kind: 'text', text: 'a' }
const JSON_PART: Part = { kind: 'json', json: 1 }
const BYTES: Part = { kind: 'bytes', bytes: Buffer.from('b') }
const ARTIFACT: Part = { kind: 'artifact', name: 'f', delegationId: 'd', sha256: 's' }

describe('what an author writes', () => {
  it('as nothing, a text or bytes is what it looks like', () => {
    assert.deepEqual(toParts(undefined), [])
    assert.deepEqual(toParts('a'), [TEXT])
    const bytes = new Uint8Array(2)
    assert.deepEqual(toParts(bytes), [{ kind: 'bytes', bytes }])
  })

  it('as one part, or a list of parts only, is those parts', () => {
    for (const part of [TEXT, JSON_PART, BYTES, ARTIFACT]) {
      assert.deepEqual(toParts(part), [part])
      assert.deepEqual(toParts([part, TEXT]), [part, TEXT])
    }
    assert.deepEqual(toParts({ kind: 'json', json: undefined }), [
      { kind: 'json', json: undefined },
    ])
  })

  it('as anything else is JSON, also what only looks like a part', () => {
    const values: readonly unknown[] = [
      ...[null, 0, false, {}, [], [TEXT, 'a'], ['a', TEXT]],
      ...[{ kind: 'text' }, { kind: 'text', text: 5 }, { kind: 'json' }],
      ...[{ kind: 'bytes' }, { kind: 'bytes', bytes: 'b' }, { kind: 'other', text: 'a' }],
      ...[{ ...ARTIFACT, kind: 'other' }, { kind: 'artifact' }],
      ...[
        { ...ARTIFACT, name: 5 },
        { ...ARTIFACT, delegationId: 5 },
        { ...ARTIFACT, sha256: 5 },
      ],
      ...[
        { kind: 'artifact', delegationId: 'd', sha256: 's' },
        { kind: 'artifact', name: 'f', sha256: 's' },
        { kind: 'artifact', name: 'f', delegationId: 'd' },
      ],
    ]
    for (const value of values) assert.deepEqual(toParts(value), [{ kind: 'json', json: value }])
  })

  it('is read as all its text, and as its first JSON', () => {
    const parts = [BYTES, TEXT, JSON_PART, TEXT, { kind: 'json' as const, json: 2 }]
    assert.equal(textOf(parts), 'aa')
    assert.equal(jsonOf(parts), 1)
    assert.equal(textOf([BYTES]), '')
    assert.equal(jsonOf([BYTES]), undefined)
  })
})
