/**
 * Runs the tests as CI does, by the command given, and writes what they came to: run-tests.ts OUTPUT COMMAND [ARGUMENT...]
 * A test that fails is tried once more. A file in which something failed all the same, a hook for example, which mocha tries
 * once only, runs once more in a process of its own. print-count.ts names all that needed it: each is a bug to find.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Count, withSecondTry } from './count.ts'

const REPORTER = fileURLToPath(new URL('spec-and-count.ts', import.meta.url))
// more than these is no accident
const MOST_FILES = 5

const [output = '', command = '', ...args] = process.argv.slice(2)
const first = run([])
const files = Object.keys(first?.failedFiles ?? {})
if (first !== null && files.length > 0 && files.length <= MOST_FILES && !files.includes('')) {
  process.stdout.write(`\ntried a second time:\n${files.map((file) => `  ${file}\n`).join('')}`)
  const second = run(files)
  if (second !== null) writeFileSync(output, JSON.stringify(withSecondTry(first, second)))
}

/** Null when it did not get to its end. The exit code is that of the last run. */
function run(only: readonly string[]): Count | null {
  rmSync(output, { force: true })
  const options = ['--retries', '1', '--reporter', REPORTER, '--reporter-option']
  const ran = spawnSync(command, [...args, ...options, `output=${output}`, ...only], {
    stdio: 'inherit',
  })
  process.exitCode = ran.status ?? 1
  try {
    return JSON.parse(readFileSync(output, 'utf8'))
  } catch {
    return null
  }
}
