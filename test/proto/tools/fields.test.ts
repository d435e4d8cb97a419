import assert from 'node:assert/strict'
import { Validator } from '@cfworker/json-schema'
import {
  ArgumentFault,
  DELEGATE_FIELDS,
  FETCH_FIELDS,
  readFields,
  TASK_FIELDS,
  TOOL_DEFINITIONS,
} from '@clawmesh/proto/tools'

const refused = (fields: Parameters<typeof readFields>[0], args: unknown, why: RegExp) =>
  assert.throws(
    () => readFields(fields, args),
    (error) => error instanceof ArgumentFault && why.test(error.message),
    `${String(why)} was not said`,
  )

describe('arguments of the tools', () => {
  it('are read as they are meant', () => {
    const args = { peer: 'researcher', skill: 'sum', input: { a: [1] }, wait_seconds: 3, key: 'k' }
    assert.deepEqual(readFields(DELEGATE_FIELDS, args), args)
    assert.deepEqual(readFields(DELEGATE_FIELDS, { peer: 'a', skill: 'b', key: null }), {
      ...{ peer: 'a', skill: 'b', input: undefined },
      ...{ wait_seconds: undefined, key: undefined },
    })
  })

  it('are refused with the reason', () => {
    for (const args of [null, undefined, 'x', 5, []])
      refused(DELEGATE_FIELDS, args, /must be one JSON object/)
    refused(DELEGATE_FIELDS, { skill: 's' }, /peer is missing/)
    refused(DELEGATE_FIELDS, { peer: 5, skill: 's', extra: 1 }, /"extra" is no argument/)
    refused(DELEGATE_FIELDS, { peer: 5, skill: 's' }, /peer must be a text/)
    refused(DELEGATE_FIELDS, { peer: '', skill: 's' }, /peer must not be empty/)
    refused(DELEGATE_FIELDS, { peer: 'a', skill: 's'.repeat(129) }, /longer than 128/)
    refused(DELEGATE_FIELDS, { peer: 'a', skill: 's', wait: 1 }, /did you mean wait_seconds/)
    for (const wait_seconds of [-1, 1e9, Number.NaN, '5', Number.POSITIVE_INFINITY])
      refused(DELEGATE_FIELDS, { peer: 'a', skill: 's', wait_seconds }, /wait_seconds must be/)
    for (const input of [1n, () => 1, Symbol('x')])
      refused(DELEGATE_FIELDS, { peer: 'a', skill: 's', input }, /input must be a text or JSON/)
    const circle: Record<string, unknown> = {}
    circle.self = circle
    refused(DELEGATE_FIELDS, { peer: 'a', skill: 's', input: circle }, /input must be/)
    refused(TASK_FIELDS, { action: 'destroy' }, /action must be one of wait, status/)
    refused(FETCH_FIELDS, { url: 'x', headers: { a: 1 } }, /headers: "a" must be a text/)
    refused(FETCH_FIELDS, { url: 'x', headers: [] }, /headers must be an object/)
  })

  it('take nothing from a prototype', () => {
    refused(DELEGATE_FIELDS, JSON.parse('{"__proto__":{"peer":"a"},"skill":"s"}'), /__proto__/)
    refused(DELEGATE_FIELDS, Object.create({ peer: 'a', skill: 's' }), /peer is missing/)
    refused(DELEGATE_FIELDS, { peer: 'a', skill: 's', constructor: 1 }, /"constructor" is no/)
  })

  it('fit the schema that a model sees', () => {
    const good = { peer: 'researcher', skill: 'sum', input: { a: [1] }, wait_seconds: 3, key: 'k' }
    const validator = new Validator({ ...TOOL_DEFINITIONS.mesh_delegate.inputSchema })
    assert.ok(validator.validate(good).valid)
    assert.ok(!validator.validate({ peer: 5, skill: 's' }).valid)
    assert.ok(!validator.validate({ peer: 'a' }).valid)
    assert.ok(!validator.validate({ peer: 'a', skill: 's', extra: 1 }).valid)
    for (const { inputSchema } of Object.values(TOOL_DEFINITIONS))
      assert.equal(inputSchema.type, 'object')
  })
})
