/** What a schema found is said in our own words, and never with a value of the file in them. */
import assert from 'node:assert/strict'
import { z } from 'zod'
import { issueInWords, valueAt } from '../../../../mesh-gateway/src/policy/read/issue-in-words.ts'

/** What is said of the first fault of a value. */
function said(schema: z.ZodType, value: unknown): string {
  const [issue] = schema.safeParse(value).error?.issues ?? []
  assert.ok(issue !== undefined, 'it has no fault')
  return issueInWords(issue, valueAt(value, issue.path))
}

const SECRET = 'hunter2'

describe('a fault that a schema found', () => {
  const table: [what: string, schema: z.ZodType, value: unknown, words: string][] = [
    [
      'our own message, with capitals in it',
      z.string().refine(() => false, 'is not GET'),
      SECRET,
      'is not GET',
    ],
    ['a key is missing', z.object({ a: z.string() }), {}, 'is missing'],
    ['a text for a number', z.number(), SECRET, 'must be a number, not a string'],
    ['a text for a whole number', z.int(), SECRET, 'must be a number, not a string'],
    ['a broken number', z.int(), 1.5, 'must be a whole number, not 1.5'],
    ['a number for a text', z.string(), 7, 'must be a string, not 7'],
    ['null for a text', z.string(), null, 'must be a string, not null'],
    ['true for a text', z.string(), true, 'must be a string, not true'],
    ['false for a text', z.string(), false, 'must be a string, not false'],
    ['a list for a text', z.string(), [SECRET], 'must be a string, not a list'],
    ['an object for a text', z.string(), { SECRET }, 'must be a string, not an object'],
    ['a text for a list', z.array(z.string()), SECRET, 'must be a list, not a string'],
    ['a text for an object', z.object({}), SECRET, 'must be an object, not a string'],
    [
      'a text for a record',
      z.record(z.string(), z.string()),
      SECRET,
      'must be an object, not a string',
    ],
    ['a text for a boolean', z.boolean(), SECRET, 'must be true or false, not a string'],
    ['one of several words', z.enum(['a', 'b']), SECRET, 'must be "a" or "b"'],
    ['one word', z.literal('a'), SECRET, 'must be "a"'],
    ['too small a number', z.number().min(3), 2, 'must be 3 or more'],
    ['less than one', z.number().min(1), 0, 'must be 1 or more'],
    ['too large a number', z.number().max(3), 4, 'must be 3 or less'],
    ['an empty list', z.array(z.string()).min(1), [], 'must not be empty'],
    ['a list with too few', z.array(z.string()).min(2), [], 'must have 2 entries or more'],
    [
      'a list with too many',
      z.array(z.string()).max(1),
      ['a', 'b'],
      'must have 1 entries or fewer',
    ],
    ['an empty text', z.string().min(1), '', 'must not be empty'],
    ['a text that is too short', z.string().min(2), '', 'must have 2 characters or more'],
    ['a text that is too long', z.string().max(1), SECRET, 'must have 1 characters or fewer'],
    [
      'keys that are unknown',
      z.strictObject({}),
      { a: SECRET, b: SECRET },
      'has unknown keys: a, b',
    ],
    [
      'many keys that are unknown',
      z.strictObject({}),
      { a: 1, b: 1, c: 1, d: 1, e: 1, f: 1 },
      'has unknown keys: a, b, c, d, e',
    ],
    [
      'keys that are long and unknown',
      z.strictObject({}),
      { ['k'.repeat(300)]: 1 },
      `has unknown keys: ${'k'.repeat(200)}`,
    ],
    [
      'a time in another form',
      z.iso.datetime(),
      SECRET,
      'must be a time, e.g. 2026-11-29T12:00:00.000Z',
    ],
    [
      'a text of another pattern',
      z.string().regex(/^a$/),
      SECRET,
      'must be written in another form',
    ],
    ['a text of another format', z.email(), SECRET, 'must be written in another way'],
    [
      'what is no key',
      z.record(z.string().check(z.regex(/^a$/, 'is no a')), z.number()),
      { b: 1 },
      'is no a',
    ],
    ['something else', z.number().multipleOf(3), 4, 'is not as it should be, 4'],
    [
      'something else about a text',
      z.string().refine(() => false),
      SECRET,
      'is not as it should be, a string',
    ],
    [
      'our own message, as it is',
      z.string().refine(() => false, 'is not good'),
      SECRET,
      'is not good',
    ],
  ]
  for (const [what, schema, value, words] of table)
    it(`is said in our words: ${what}`, () => {
      assert.equal(said(schema, value), words)
      assert.doesNotMatch(said(schema, value), new RegExp(SECRET))
    })

  it('of nothing is said of nothing', () => {
    const [issue] =
      z
        .number()
        .refine(() => false)
        .safeParse(1).error?.issues ?? []
    assert.ok(issue)
    assert.equal(issueInWords(issue, undefined), 'is not as it should be, nothing')
  })

  it('of a key without words of its own is said of a name', () => {
    assert.equal(
      issueInWords(
        { code: 'invalid_key', origin: 'record', issues: [], path: [], message: 'X' },
        1,
      ),
      'is not a name',
    )
  })
})

describe('the value at a place of a document', () => {
  const document = { a: [{ b: null }, 'text'], c: 0 }
  const table: [path: (string | number)[], value: unknown][] = [
    [[], document],
    [['c'], 0],
    [['a', 0, 'b'], null],
    [['a', 1], 'text'],
    [['a', 2], undefined],
    [['a', 0, 'b', 'c'], undefined],
    [['a', 1, 0], undefined],
    [['a', 1, 'length'], undefined],
    [['c', 'toFixed'], undefined],
    [['toString'], undefined],
    [['a', 0, '__proto__'], undefined],
    [['x', 'y'], undefined],
  ]
  for (const [path, value] of table)
    it(`is ${JSON.stringify(value)} at ${JSON.stringify(path)}`, () => {
      assert.deepEqual(valueAt(document, path), value)
    })
})
