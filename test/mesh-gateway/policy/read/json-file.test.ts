/** The faults of a JSON file that people edit: each in a line, with its place, and without a word of what stands there. */
import assert from 'node:assert/strict'
import { z } from 'zod'
import { parseJsonFile } from '../../../../mesh-gateway/src/policy/read/json-file.ts'

const schema = z.strictObject({ keys: z.array(z.object({ role: z.enum(['active', 'next']) })) })

function linesOf(text: string, path = 'keys.json'): string[] {
  const read = parseJsonFile(text, path, schema)
  return 'faults' in read ? read.faults.split('\n  ') : []
}

describe('a JSON file', () => {
  it('is its value when it is good', () => {
    assert.deepEqual(parseJsonFile('{"keys":[{"role":"next"}]}', 'keys.json', schema), {
      value: { keys: [{ role: 'next' }] },
    })
  })

  const table: [text: string, lines: string[]][] = [
    ['{', ['keys.json:1:2: is not JSON: expected a key in double quotes, found the end']],
    ['{"keys":[],}', ['keys.json:1:12: is not JSON: a comma before the closing }']],
    ['\n\n ,', ['keys.json:3:2: is not JSON: expected a value, found ","']],
    ['[]', ['keys.json:1:1: must be an object, not a list']],
    ['{}', ['keys.json:1:1 #/keys: is missing']],
    [
      '{\n  "keys": [{ "role": "old" },\n {}]\n}',
      [
        'keys.json:2:14 #/keys/0/role: must be "active" or "next"',
        'keys.json:3:2 #/keys/1/role: must be "active" or "next"',
      ],
    ],
    ['{"keys":[],"x":"hunter2"}', ['keys.json:1:1: has unknown keys: x']],
  ]
  for (const [text, lines] of table)
    it(`has its faults in lines: ${JSON.stringify(text)}`, () => {
      assert.deepEqual(linesOf(text), lines)
    })

  it('has twenty faults told, and how many more there are', () => {
    const keys = (count: number) =>
      linesOf(JSON.stringify({ keys: Array.from({ length: count }, () => ({ role: 'old' })) }))
    assert.equal(keys(20).length, 20)
    assert.equal(keys(22).length, 21)
    assert.equal(keys(22).at(-1), 'and 2 more')
    assert.match(keys(22)[0] ?? '', /#\/keys\/0\/role/)
  })

  it('has no lines where it is larger than 1 MiB, and none of its bytes move a cursor', () => {
    const blank = ' '.repeat(1024 * 1024)
    assert.deepEqual(linesOf(`{${blank}`), ['keys.json is not JSON'])
    assert.deepEqual(linesOf(`{}${blank}`), ['keys.json #/keys: is missing'])
    assert.deepEqual(linesOf(`{}${blank.slice(2)}`), ['keys.json:1:1 #/keys: is missing'])
    assert.deepEqual(linesOf(`{${blank.slice(1)}`).length, 1)
    assert.match(linesOf(`{${blank.slice(1)}`)[0] ?? '', /^keys\.json:1:\d+: is not JSON: /)
    assert.deepEqual(linesOf('{', 'a\u001b[2J'), [
      'a?[2J:1:2: is not JSON: expected a key in double quotes, found the end',
    ])
    // what only our stricter reader finds fault with is good here
    assert.deepEqual(linesOf('{"keys":[],"keys":[]}'), [])
    assert.deepEqual(linesOf('{"keys":[],"x":"\\ud800"'), [
      'keys.json:1:24: is not JSON: half of a surrogate pair',
    ])
  })
})
