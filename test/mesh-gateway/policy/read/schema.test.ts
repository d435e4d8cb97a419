import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { policyJsonSchema } from '../../../../mesh-gateway/src/policy/read/schema.ts'
import { faultsOf } from '../policies.ts'

const page = new URL('../../../../docs/reference/policy.md', import.meta.url)
const published = new URL('../../../../docs/reference/policy.schema.json', import.meta.url)

describe('the published policy schema', () => {
  it('is what the gateway reads policy with (node scripts/json-schemas.ts writes it)', async () => {
    assert.deepEqual(JSON.parse(await readFile(published, 'utf8')), policyJsonSchema())
  })

  it('allows unknown keys nowhere', () => {
    const objects: object[] = []
    const walk = (value: unknown) => {
      if (typeof value !== 'object' || value === null) return
      if ('properties' in value) objects.push(value)
      for (const inner of Object.values(value)) walk(inner)
    }
    walk(policyJsonSchema())
    assert.ok(objects.length > 10)
    for (const object of objects)
      assert.ok('additionalProperties' in object && object.additionalProperties === false)
  })
})

describe('the policy page', () => {
  it('has examples that are valid policy', async () => {
    const text = await readFile(page, 'utf8')
    const examples = [...text.matchAll(/<!-- (\S+\.json) -->\n```json\n([\s\S]*?)```/g)]
    assert.ok(examples.length >= 2)
    for (const [, file = '', content = ''] of examples)
      assert.deepEqual(faultsOf(file, content), [])
  })
})
