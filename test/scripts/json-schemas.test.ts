import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { JSON_SCHEMAS } from '../../scripts/docs/json-schemas.ts'

describe('the JSON Schemas of the repository', () => {
  for (const [path, schema] of Object.entries(JSON_SCHEMAS))
    it(`${path} is what the code says (npm run docs)`, async () => {
      const file = new URL(`../../${path}`, import.meta.url)
      assert.deepEqual(JSON.parse(await readFile(file, 'utf8')), JSON.parse(JSON.stringify(schema)))
    })
})
