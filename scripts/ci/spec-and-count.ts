/** mocha's spec reporter, which also writes how many passed and failed, and what was skipped or tried twice, to the file named by --reporter-option output=FILE. */
import { writeFileSync } from 'node:fs'
import Mocha from 'mocha'

export default class SpecAndCount extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options)
    const output: unknown = options.reporterOptions?.output
    if (typeof output !== 'string') return
    const { EVENT_RUN_END, EVENT_TEST_PENDING, EVENT_TEST_RETRY } = Mocha.Runner.constants
    const skipped: string[] = []
    const retried: string[] = []
    runner.on(EVENT_TEST_RETRY, (test, error) =>
      retried.push(`${test.fullTitle()}: ${String(error)}`),
    )
    runner.on(EVENT_TEST_PENDING, (test) => skipped.push(test.fullTitle()))
    runner.once(EVENT_RUN_END, () => {
      const { passes = 0, failures = 0 } = runner.stats ?? {}
      writeFileSync(output, JSON.stringify({ passes, failures, skipped, retried }))
    })
  }
}
