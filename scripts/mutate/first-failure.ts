/** A mocha reporter that prints one line for each failure, as JSON, and nothing else: what run-mocha.ts reads. */
import Mocha from 'mocha'

export const FAILURE_MARK = 'clawmesh-mutate-failure '

export default class FirstFailure extends Mocha.reporters.Base {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options)
    runner.on(Mocha.Runner.constants.EVENT_TEST_FAIL, (runnable, error: unknown) => {
      const file = runnable.file ?? runnable.parent?.file ?? ''
      const [why = ''] = String(error).split('\n')
      const failure = { file, title: runnable.fullTitle(), why }
      process.stdout.write(`${FAILURE_MARK}${JSON.stringify(failure)}\n`)
    })
  }
}
