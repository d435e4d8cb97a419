/** Programs that a test needs and a machine may lack: a printed skip there, a failure in CI, which installs all of them. */
import { execFileSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/**
 * To be called in `before`, or at the top of a test.
 * @param args with which the program ends at once, and well
 * @throws Error in CI
 */
export function needProgram(
  context: Mocha.Context,
  program: string,
  ...args: readonly string[]
): void {
  if (!isInstalled(program, ...args)) context.skip()
}

/** Prints that it is missing. @throws Error in CI */
export function isInstalled(program: string, ...args: readonly string[]): boolean {
  try {
    execFileSync(program, args.length === 0 ? ['--version'] : args, { stdio: 'ignore' })
    return true
  } catch (cause) {
    if (process.env.CI === 'true') throw new Error(`CI has to install ${program}`, { cause })
    process.stderr.write(`skipped: there is no ${program} on this machine\n`)
    return false
  }
}

/** For a program that something of Node takes the place of: nothing is skipped. @throws Error in CI, when it is missing */
export function isOnPath(program: string): boolean {
  const found = (process.env.PATH ?? '').split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, program), constants.X_OK)
      return true
    } catch {
      // not in this directory
      return false
    }
  })
  if (!found && process.env.CI === 'true') throw new Error(`CI has to install ${program}`)
  return found
}
