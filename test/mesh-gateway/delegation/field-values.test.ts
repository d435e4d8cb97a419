import assert from 'node:assert/strict'
import {
  fieldOnce,
  GIVEN_TWICE,
  trimmedFields,
} from '../../../mesh-gateway/src/delegation/field-values.ts'

describe('fields as Node lists them', () => {
  it('lose the whitespace around their values, and nothing else', () => {
    const cases: Record<string, string> = {
      ' a': 'a',
      'a ': 'a',
      '\ta\t': 'a',
      ' \t a b \t ': 'a b',
      ' ': '',
      '\t\t': '',
    }
    for (const [given, kept] of Object.entries(cases))
      assert.deepEqual(trimmedFields(['x', 'y', ' name ', given]), ['x', 'y', ' name ', kept])
    assert.deepEqual(trimmedFields([' name', given_(), 'b', 'c ']), [' name', 'v', 'b', 'c'])
    function given_() {
      return ' v'
    }
  })

  it('are the same list where there is none', () => {
    for (const raw of [[], ['a', ''], [' name ', 'a b', 'n', '\u00a0v']])
      assert.equal(trimmedFields(raw), raw)
  })

  it('that may be given once are told from those given twice, or not at all', () => {
    assert.equal(fieldOnce(['a', '1', 'b', '2'], 'b'), '2')
    assert.equal(fieldOnce(['a', 'b'], 'b'), null, 'a value is no name')
    assert.equal(fieldOnce(['a', '', 'b', 'a'], 'a'), '')
    assert.equal(fieldOnce(['a', '1', 'b', '2', 'a', '1'], 'a'), GIVEN_TWICE)
    assert.equal(fieldOnce(['a'], 'a'), null)
  })
})
