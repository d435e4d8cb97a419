/** Schemas of skills, as JSON Schema and by Standard Schema. */
import assert from 'node:assert/strict'
import { z } from 'zod'
import { createSchemaChecker } from '../../../agent-sdk/src/schema/check-value.ts'
import { readValueSchema } from '../../../agent-sdk/src/schema/value-schema.ts'

describe('the schema of a skill', () => {
  const read = (given: unknown) => readValueSchema(given, createSchemaChecker(), 'skills.s.input')

  it('may be a JSON Schema, which callers see as it is', async () => {
    for (const given of [{ type: 'string' }, true, false, {}]) assert.equal(read(given).json, given)
    assert.equal(await read({ type: 'string' }).check(5), 'is of type number, must be string')
  })

  it('may be of a library, which says itself as JSON Schema where it can', async () => {
    const page = z.object({ url: z.url(), tags: z.array(z.string().max(2)).default([]) })
    const { json, check } = read(page)
    assert.deepEqual(Object(json).required, ['url'])
    assert.equal(await check({ url: 'https://x' }), null)
    assert.match((await check({ url: 'https://x', tags: ['abc'] })) ?? '', /^\/tags\/0 /)
    assert.equal(read(z.date()).json, null, 'no JSON Schema says a Date')
  })

  it('of a library may be a function, be slow, and say nothing of itself', async () => {
    const validate = async (value: unknown) =>
      value === 1
        ? { value }
        : { issues: [{ message: 'm', path: ['a', { key: 0 }] }, { message: 'x'.repeat(500) }] }
    const standard = { version: 1, vendor: 'x', validate }
    const { json, check } = read(Object.assign(() => {}, { '~standard': standard }))
    assert.equal(json, null)
    assert.equal(await check(1), null)
    assert.equal(await check(2), `/a/0 m; ${'x'.repeat(200)}`)
    for (const input of [() => 5, () => assert.fail('cannot')])
      assert.equal(read({ '~standard': { ...standard, jsonSchema: { input } } }).json, null)
    const loop = () => ({ $ref: '#' })
    assert.throws(
      () => read({ '~standard': { ...standard, jsonSchema: { input: loop } } }),
      new TypeError('skills.s.input: refers to itself without an end'),
    )
  })

  it('is wrong use when it is none, with the name of the option', () => {
    for (const none of [5, 'text', null, [], () => true, { '~standard': 5, type: 5 }])
      assert.throws(() => read(none), { name: 'TypeError', message: /^skills\.s\.input: / })
  })
})
