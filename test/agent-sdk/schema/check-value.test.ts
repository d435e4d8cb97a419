/** Values are checked by schemas that somebody else wrote: what they may say is checked, and none of them holds the checker up. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createSchemaChecker } from '../../../agent-sdk/src/schema/check-value.ts'
import { compileJsonSchema } from '../../../agent-sdk/src/schema/json-schema.ts'

const checker = createSchemaChecker()
const check = (schema: unknown, value: unknown) => {
  const compiled = compileJsonSchema(schema)
  assert.ok(typeof compiled !== 'string', String(compiled))
  return checker.check(compiled, value)
}
const faultOf = (schema: unknown) => {
  const compiled = compileJsonSchema(schema)
  return typeof compiled === 'string' ? compiled : null
}

describe('a value under a JSON Schema', () => {
  const page = {
    type: 'object',
    properties: {
      url: { type: 'string', pattern: '^https://' },
      words: { $ref: '#/$defs/count' },
      tags: { type: 'array', items: { enum: ['a', 'b'] }, uniqueItems: true },
    },
    required: ['url'],
    additionalProperties: false,
    $defs: { count: { type: 'integer', minimum: 1 } },
  }

  it('is good, or the place and the fault are told, without the value', () => {
    assert.equal(check(page, { url: 'https://x', words: 3, tags: ['a'] }), null)
    for (const [value, fault] of [
      ['text', 'is of type string, must be object'],
      [{}, 'lacks url'],
      [{ url: 'secret' }, '/url does not satisfy pattern'],
      [{ url: 'https://x', words: 'many' }, '/words is of type string, must be integer'],
      [{ url: 'https://x', words: 0 }, '/words does not satisfy minimum'],
      [{ url: 'https://x', tags: ['c'] }, '/tags/0 is none of the values that the schema lists'],
      [{ url: 'https://x', more: 1 }, '/more is not in the schema'],
    ])
      assert.equal(check(page, value), fault)
    assert.equal(check(true, { any: 'thing' }), null)
    assert.equal(check(false, 1), 'is not in the schema')
  })

  it('has its faults in one line, however it names its properties', () => {
    const told = check(
      { additionalProperties: { type: 'string' } },
      { [`a\n\u202eb${'c'.repeat(5_000)}`]: 1, d: 2, e: 3, f: 4, g: 5 },
    )
    assert.ok(told !== null && told.length < 600)
    assert.doesNotMatch(told, /[\n\u202e]/)
  })

  it('may be as deep as it likes', () => {
    let value: unknown = 1
    for (let depth = 0; depth < 100_000; depth += 1) value = [value]
    const schema = { items: { $ref: '#' } }
    assert.match(check(schema, value) ?? '', /nested too deep|takes too long/)
  })

  it('takes notes and formats for notes, and names of Object.prototype for names', () => {
    const noted = { format: 'email', title: 'x', 'x-own': { $ref: 'http://a' }, examples: [{}] }
    assert.equal(check(noted, 'no mail'), null)
    const named = JSON.parse(
      '{"properties":{"__proto__":{"type":"string"}},"required":["toString"]}',
    )
    assert.equal(
      check(named, JSON.parse('{"toString":1,"__proto__":2}')),
      '/__proto__ is of type number, must be string',
    )
    assert.equal(check(named, {}), 'lacks toString')
  })

  it('never makes the check throw', () => {
    const keyword = fc.constantFrom(
      'type',
      'items',
      'properties',
      'allOf',
      '$ref',
      'pattern',
      'not',
    )
    const anySchema = fc.anything({ key: keyword, maxDepth: 4 })
    fc.assert(
      fc.property(anySchema, fc.jsonValue(), (schema, value) => {
        const compiled = compileJsonSchema(schema)
        if (typeof compiled === 'string') assert.ok(compiled.length < 400)
        else checker.check(compiled, value)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('a schema that would hold its reader up', () => {
  it('by an exponential pattern is ended by the clock', () => {
    const value = `${'a'.repeat(60)}!`
    assert.equal(check({ pattern: '^(a+)+$' }, value), 'takes too long to check')
    assert.equal(
      check({ patternProperties: { '^(a+)+$': {} } }, { [value]: 1 }),
      'takes too long to check',
    )
    assert.equal(check({ pattern: '^a+!$' }, value), null, 'and the next one is checked')
  })

  it('by comparing all with all is ended by the clock', () => {
    const many = Array.from({ length: 200_000 }, (_, index) => ({ index }))
    assert.equal(check({ uniqueItems: true }, many), 'takes too long to check')
  })

  it('by parts that multiply is ended by the count of its looks', () => {
    const doubled: Record<string, unknown> = { d0: { type: 'string' } }
    for (let level = 1; level < 60; level += 1) {
      const below = { $ref: `#/$defs/d${level - 1}` }
      doubled[`d${level}`] = { anyOf: [{ allOf: [below, below] }, below] }
    }
    assert.equal(check({ $defs: doubled, $ref: '#/$defs/d59' }, 'x'), 'takes too long to check')
  })

  it('by a long list at every item is ended by the count of its looks', () => {
    const list = Array.from({ length: 1_500 }, (_, index) => `value ${index}`)
    const items = { type: 'array', items: { enum: list } }
    assert.equal(check(items, Array(50).fill('value 7')), null)
    assert.equal(check(items, Array(100_000).fill('value 7')), 'takes too long to check')
  })

  it('by referring to itself is refused, and by going deeper each time is not', () => {
    for (const schema of [
      { $ref: '#' },
      { allOf: [{ $ref: '#' }] },
      { $defs: { a: { $ref: '#/$defs/b' }, b: { anyOf: [{ $ref: '#/$defs/a' }] } } },
      { not: { if: { $ref: '#' } } },
      { dependentSchemas: { a: { $ref: '#' } } },
    ])
      assert.equal(faultOf(schema), 'refers to itself without an end')
    const tree = { type: 'object', properties: { left: { $ref: '#' }, right: { $ref: '#' } } }
    assert.equal(check(tree, { left: { right: {} } }), null)
    assert.equal(
      check(tree, { left: { right: 1 } }),
      '/left/right is of type number, must be object',
    )
  })

  it('by its size is refused', () => {
    let deep: unknown = {}
    for (let level = 0; level < 40; level += 1) deep = { not: deep }
    assert.equal(faultOf(deep), 'is nested more than 32 deep')
    assert.equal(faultOf({ allOf: Array(2_001).fill({}) }), 'has more than 2000 parts')
    assert.equal(faultOf({ description: 'x'.repeat(33_000) }), 'is larger than 32768 bytes')
    const circle: { not?: unknown } = {}
    circle.not = circle
    for (const none of [circle, undefined, () => true, 5n])
      assert.equal(faultOf(none), 'is not JSON')
    assert.match(faultOf('text') ?? '', /is no schema/)
  })

  it('by leading elsewhere, or by what is not checked here, is refused', () => {
    for (const [schema, fault] of [
      [{ $ref: 'https://evil.test/s.json' }, /must begin with #/],
      [{ $ref: '#/nowhere' }, /leads nowhere within it/],
      [{ $ref: '#%zz%' }, /leads nowhere|cannot be read/],
      [{ items: { $id: 'x' } }, /is not checked here/],
      [{ $dynamicRef: '#a' }, /is not checked here/],
      [{ dependencies: {} }, /is not checked here/],
      [{ items: [{}] }, /is no schema/],
      [{ type: 'text' }, /must be of null, boolean/],
      [{ required: 'a' }, /must be a list of names/],
      [{ pattern: '(' }, /must be a regular expression/],
      [{ patternProperties: { '(': {} } }, /must be a regular expression/],
      [{ minLength: -1 }, /must be a whole number/],
      [{ multipleOf: 0 }, /must be a number above 0/],
      [{ allOf: {} }, /must be a list of schemas/],
      [{ properties: [] }, /must be an object of schemas/],
    ] as const)
      assert.match(faultOf(schema) ?? '', fault)
  })
})
