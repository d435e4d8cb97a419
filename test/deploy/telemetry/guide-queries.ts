/** The queries in LogsQL of docs/guides/logs.md, by the title of their section. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'

const GUIDE = new URL('../../../docs/guides/logs.md', import.meta.url)

export async function queryOf(section: string): Promise<string> {
  const sections = (await readFile(GUIDE, 'utf8')).split(/^##+ /m)
  const text = sections.find((each) => each.startsWith(`${section}\n`))
  const [, query] = /```logsql\n([^`]+)```/.exec(text ?? '') ?? []
  assert.ok(query !== undefined, `the guide has no query under "${section}"`)
  return query
}
