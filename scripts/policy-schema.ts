/**
 * Writes docs/reference/policy.schema.json from the schema that the gateway reads policy with: `node scripts/policy-schema.ts`.
 * With --check it writes nothing and fails when the file is not what the code says.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { policyJsonSchema } from '../mesh-gateway/src/policy/schema.ts'

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
const path = 'docs/reference/policy.schema.json'
const file = new URL(`../${path}`, import.meta.url)
const text = `${JSON.stringify(policyJsonSchema(), null, 2)}\n`
const before = await readFile(file, 'utf8').catch(() => null)
if (before !== text && values.check) {
  process.stderr.write(
    `policy-schema: ${path} is not what the code says\nhint: run node scripts/policy-schema.ts\n`,
  )
  process.exitCode = 1
} else if (before !== text) {
  await writeFile(file, text)
  process.stderr.write(`policy-schema: wrote ${path}\n`)
}
