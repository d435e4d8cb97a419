/** Programs that a test needs and a machine may lack: a printed skip there, a failure in CI, which installs all of them. */
import { execFileSync } from 'node:child_process'

/**
 * To be called in `before`, or at the top of a test.
 * @param version the argument with which the program says its version and ends
 * @throws Error in CI
 */
export function needProgram(context: Mocha.Context, program: string, version = '--version'): void {
  try {
    execFileSync(program, [version], { stdio: 'ignore' })
  } catch (cause) {
    if (process.env.CI === 'true') throw new Error(`CI has to install ${program}`, { cause })
    process.stderr.write(`skipped: there is no ${program} on this machine\n`)
    context.skip()
  }
}
