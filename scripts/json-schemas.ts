/**
 * Writes the JSON Schemas that are made from code: `node scripts/json-schemas.ts`. That of policy, from the schema that
 * the gateway reads it with, and those of the values of the Helm charts.
 * With --check it writes nothing and fails when a file is not what the code says.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { JSON_SCHEMAS } from './docs/json-schemas.ts'

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
for (const [path, schema] of Object.entries(JSON_SCHEMAS)) {
  const file = new URL(`../${path}`, import.meta.url)
  const before: unknown = await readFile(file, 'utf8').then(JSON.parse, () => null)
  if (isDeepStrictEqual(before, JSON.parse(JSON.stringify(schema)))) continue
  if (values.check) {
    process.stderr.write(
      `json-schemas: ${path} is not what the code says\nhint: run npm run docs\n`,
    )
    process.exitCode = 1
  } else {
    await writeFile(file, `${JSON.stringify(schema, null, 2)}\n`)
    process.stderr.write(`json-schemas: wrote ${path}\n`)
  }
}
