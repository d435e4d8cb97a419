/**
 * Writes the pages of docs/ that are made from code: `npm run docs`.
 * With --check it writes nothing and fails when a page is not what the code says.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { ERRORS_PAGE, errorsPage } from './docs/errors-page.ts'
import { PKI_PAGE, pkiPage } from './docs/pki-page.ts'

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
const pages = [
  { path: ERRORS_PAGE, text: errorsPage() },
  { path: PKI_PAGE, text: await pkiPage() },
]

for (const { path, text } of pages) {
  const file = new URL(`../${path}`, import.meta.url)
  const before = await readFile(file, 'utf8').catch(() => null)
  if (before === text) continue
  if (values.check) {
    process.stderr.write(`docs: ${path} is not what the code says\nhint: run npm run docs\n`)
    process.exitCode = 1
  } else {
    await writeFile(file, text)
    process.stderr.write(`docs: wrote ${path}\n`)
  }
}
