/** The files of deploy/, as tests run them: whole, but for what a test has to place elsewhere. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'

/** A file of deploy/, in which each of these texts is there and is replaced. */
export async function shipped(
  path: string,
  changes: Readonly<Record<string, string>> = {},
): Promise<string> {
  const text = await readFile(new URL(`../../deploy/${path}`, import.meta.url), 'utf8')
  return Object.entries(changes).reduce((changed, [from, to]) => {
    assert.ok(changed.includes(from), `${path} has no ${from}`)
    return changed.replaceAll(from, to)
  }, text)
}
