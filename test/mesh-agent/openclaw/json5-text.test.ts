/** Changes of single values in JSON5: everything else stays byte for byte. */
import assert from 'node:assert/strict'
import {
  appendAt,
  readJson5,
  valueAt,
  writeAt,
} from '../../../mesh-agent/src/openclaw/json5-text.ts'

const WRITTEN = `// my gateway
{
  gateway: { mode: 'local', port: 18789, }, // kept
  /* tools */
  "tools": {
    exec: { ask: 'off' },
    // web is off
  },
  plugins: { allow: ['a', "b"], entries: {} },
  last: +0.5, // no comma follows
}
`

describe('a value is written into JSON5', () => {
  for (const [what, path, value, from, to] of [
    ['in place of another', ['gateway', 'port'], 1, 'port: 18789', 'port: 1'],
    [
      'of another type',
      ['gateway', 'mode'],
      { a: [1] },
      "mode: 'local'",
      'mode: {\n    "a": [\n      1\n    ]\n  }',
    ],
    [
      'as the last member, after the comments',
      ['tools', 'web'],
      true,
      '    // web is off\n',
      '    // web is off\n    "web": true,\n',
    ],
    [
      'in an object that is made for it',
      ['tools', 'web', 'fetch'],
      1,
      '    // web is off\n',
      '    // web is off\n    "web": {\n      "fetch": 1\n    },\n',
    ],
    [
      'in an empty object',
      ['plugins', 'entries', 'x'],
      1,
      'entries: {}',
      'entries: {\n    "x": 1\n  }',
    ],
    [
      'at the top, after a comment that follows a comma',
      ['proxy'],
      'x',
      '// no comma follows\n',
      '// no comma follows\n  "proxy": "x",\n',
    ],
    [
      'on a line that ends with a comma',
      ['gateway', 'bind'],
      1,
      'port: 18789, }',
      'port: 18789, "bind": 1 }',
    ],
  ] as const)
    it(what, () => {
      const text = writeAt(WRITTEN, path, value)
      assert.equal(text, WRITTEN.replace(from, to))
      assert.deepEqual(valueAt(readJson5(text), path), value)
      assert.equal(writeAt(text, path, value), text, 'twice is as good as once')
    })

  it('where no comma is yet, and where nothing is', () => {
    assert.equal(writeAt('{"a": 1 // one\n}', ['b'], 2), '{"a": 1, // one\n"b": 2\n}')
    assert.equal(writeAt('{}\n', ['a', 'b'], 2), '{\n  "a": {\n    "b": 2\n  }\n}\n')
    assert.equal(writeAt('{ // nothing\n}', ['a'], 1), '{ // nothing\n  "a": 1\n}')
    assert.equal(writeAt('{a: 1, a: 2}', ['a'], 3), '{a: 1, a: 3}')
    assert.equal(writeAt('{\r\n\ta: 1\r\n}', ['b'], 2), '{\r\n\ta: 1,\n\t"b": 2\n}')
    assert.equal(writeAt('{"a": 1, /* , */ }', ['b'], 2), '{"a": 1, /* , */ "b": 2 }')
    assert.equal(writeAt('{"a": 1 /* , */ }', ['b'], 2), '{"a": 1, /* , */ "b": 2 }')
  })

  it('the same value changes nothing', () => {
    assert.equal(writeAt(WRITTEN, ['gateway', 'mode'], 'local'), WRITTEN)
    assert.equal(writeAt(WRITTEN, ['plugins', 'allow'], ['a', 'b']), WRITTEN)
  })

  it('and one more into a list', () => {
    const text = appendAt(WRITTEN, ['plugins', 'allow'], 'c')
    assert.equal(text, WRITTEN.replace(`'a', "b"]`, `'a', "b", "c"]`))
    assert.equal(appendAt('{a: []}', ['a'], 1), '{a: [\n  1\n]}')
    assert.equal(appendAt('{a: [\n  1, // one\n]}', ['a'], 2), '{a: [\n  1, // one\n  2,\n]}')
    assert.equal(appendAt('{a: 1}', ['a'], 2), '{a: 1}')
    assert.equal(appendAt('{}', ['a'], 2), '{}')
  })

  for (const text of ['', '[]', '{', '{a: 1} {}', '{a: b}', 'null', '{a: 1,, b: 2}'])
    it(`not into ${JSON.stringify(text)}, which is no JSON5 object`, () => {
      assert.throws(() => readJson5(text), Error)
      assert.throws(() => writeAt(text, ['a'], 1), Error)
    })
})
