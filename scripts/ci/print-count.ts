/** Prints what spec-and-count.ts wrote, as `N passed, N failed` alone on the last line. Fails when mocha never got there, or skipped. */
import { readFileSync } from 'node:fs'

const [file = ''] = process.argv.slice(2)
const { passes, failures, pending } = read(file)
if (pending > 0) {
  process.stdout.write(`${pending} skipped: CI skips nothing\n`)
  process.exitCode = 1
}
if (failures > 0 || passes === 0) process.exitCode = 1
process.stdout.write(`${passes} passed, ${failures} failed\n`)

function read(path: string): { passes: number; failures: number; pending: number } {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    process.stdout.write('the tests did not run to their end\n')
    return { passes: 0, failures: 1, pending: 0 }
  }
}
