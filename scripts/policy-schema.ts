/**
 * Writes docs/reference/policy.schema.json from the schema that the gateway reads policy with: `node scripts/policy-schema.ts`.
 * With --check it writes nothing and fails when the file is not what the code says.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { policyJsonSchema } from '@clawmesh/gateway'

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
const path = 'docs/reference/policy.schema.json'
const file = new URL(`../${path}`, import.meta.url)
const schema = policyJsonSchema()
const before: unknown = await readFile(file, 'utf8').then(JSON.parse, () => null)
const same = isDeepStrictEqual(before, JSON.parse(JSON.stringify(schema)))
if (!same && values.check) {
  process.stderr.write(
    `policy-schema: ${path} is not what the code says\nhint: run node scripts/policy-schema.ts, then npm run format\n`,
  )
  process.exitCode = 1
} else if (!same) {
  await writeFile(file, `${JSON.stringify(schema, null, 2)}\n`)
  process.stderr.write(`policy-schema: wrote ${path}\n`)
}
