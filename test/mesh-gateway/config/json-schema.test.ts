import assert from 'node:assert/strict'
import { configJsonSchema } from '../../../mesh-gateway/src/config/json-schema.ts'

/** The objects of the schema that need keys, by their path. */
function needed(schema: unknown, path = ''): Record<string, unknown> {
  if (typeof schema !== 'object' || schema === null) return {}
  const own = 'required' in schema ? { [path]: schema.required } : {}
  const inner = 'properties' in schema ? Object.entries(Object(schema.properties)) : []
  return Object.assign(own, ...inner.map(([key, each]) => needed(each, `${path}/${key}`)))
}

describe('the JSON Schema of the configuration', () => {
  it('needs what the gateway needs, and no section that has defaults', () => {
    assert.deepEqual(needed(configJsonSchema()), {
      '': ['trustDomain', 'identity', 'policy', 'keys'],
      '/identity': ['dir'],
      '/policy': ['dir'],
      '/keys': ['dir'],
    })
  })
})
