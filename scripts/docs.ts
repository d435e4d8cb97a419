/**
 * Writes the pages of docs/ that are made from code: `npm run docs`.
 * With --check it writes nothing and fails when a page is not what the code says.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { COMMAND_PAGES, commandPage } from './docs/command-page.ts'
import { ERRORS_PAGE, errorsPage } from './docs/errors-page.ts'

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
const pages = [{ path: ERRORS_PAGE, text: errorsPage() }]
for (const page of COMMAND_PAGES) pages.push({ path: page.path, text: await commandPage(page) })

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
