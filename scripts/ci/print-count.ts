/**
 * Prints what the tests came to, of one or several runs together, as `N passed, N failed` alone on the last line, and before it what was skipped, and what was tried
 * a second time: such a line is a bug of the test or of the product, and somebody's next work.
 * Fails when a test failed, when mocha never got to its end, and for what was skipped.
 */
import { readFileSync } from 'node:fs'
import type { Count } from './count.ts'

const counts = process.argv.slice(2).map(read)
const sum = (of: 'passes' | 'failures') => counts.reduce((total, count) => total + count[of], 0)
const all = (of: 'skipped' | 'retried' | 'failed') => counts.flatMap((count) => count[of])
const [passes, failures] = [sum('passes'), sum('failures')]
const [skipped, failed] = [all('skipped'), all('failed')]
for (const title of all('retried')) process.stdout.write(`tried a second time: ${title}\n`)
for (const title of skipped) process.stdout.write(`skipped: ${title}\n`)
for (const title of failed) process.stdout.write(`failed: ${title}\n`)
if (failures > 0 || passes === 0 || skipped.length > 0) process.exitCode = 1
process.stdout.write(`${passes} passed, ${failures} failed\n`)

function read(path: string): Pick<Count, 'passes' | 'failures' | 'skipped' | 'retried' | 'failed'> {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    process.stdout.write('the tests did not run to their end\n')
    return { passes: 0, failures: 1, skipped: [], retried: [], failed: [] }
  }
}
