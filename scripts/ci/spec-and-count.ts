/** mocha's spec reporter, which also writes what the run came to (count.ts) to the file named by --reporter-option output=FILE. */
import { writeFileSync } from 'node:fs'
import Mocha from 'mocha'
import type { Count } from './count.ts'

export default class SpecAndCount extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options)
    const output: unknown = options.reporterOptions?.output
    if (typeof output !== 'string') return
    const { constants } = Mocha.Runner
    const skipped: string[] = []
    const retried: string[] = []
    const failed: string[] = []
    const broken = new Set<string>()
    const passesIn = new Map<string, number>()
    // in parallel, what mocha tells of one file comes in one piece, and hooks of the whole run are run for each file
    let latestFile = ''
    const said = (runnable: Mocha.Runnable, error: unknown) =>
      `${runnable.fullTitle()}: ${inWords(error)}`
    runner.on(constants.EVENT_TEST_PASS, (test) => {
      const file = fileOf(test)
      passesIn.set(file, (passesIn.get(file) ?? 0) + 1)
    })
    // one that failed or was skipped, too
    runner.on(constants.EVENT_TEST_END, (test) => {
      latestFile = fileOf(test)
    })
    runner.on(constants.EVENT_TEST_RETRY, (test, error) => retried.push(said(test, error)))
    runner.on(constants.EVENT_TEST_PENDING, (test) => skipped.push(test.fullTitle()))
    // a hook too, which mocha never tries again
    runner.on(constants.EVENT_TEST_FAIL, (runnable, error) => {
      failed.push(said(runnable, error))
      broken.add(fileOf(runnable) || (options.parallel === true ? latestFile : ''))
    })
    runner.once(constants.EVENT_RUN_END, () => {
      const { passes = 0, failures = 0 } = runner.stats ?? {}
      const failedFiles = Object.fromEntries(
        [...broken].map((file) => [file, passesIn.get(file) ?? 0]),
      )
      const count: Count = { passes, failures, skipped, retried, failed, failedFiles }
      writeFileSync(output, JSON.stringify(count))
    })
  }
}

/** As `String` of an error, also of one that comes as plain data from another process of mocha. */
function inWords(error: unknown): string {
  if (error instanceof Error || typeof error !== 'object' || error === null) return String(error)
  const name = 'name' in error ? String(error.name) : 'Error'
  return 'message' in error ? `${name}: ${String(error.message)}` : JSON.stringify(error)
}

/** Empty for what stands in no file: a hook of the whole run. */
function fileOf(runnable: Mocha.Runnable): string {
  return runnable.file ?? runnable.parent?.file ?? ''
}
