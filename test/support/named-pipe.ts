/** Named pipes, which Node cannot make: POSIX has a program for it, which a machine may lack. */
import { execFileSync } from 'node:child_process'
import { isInstalled, isOnPath, needProgram } from './need-program.ts'

/** For a test that is about pipes alone: a printed skip. @throws Error in CI */
export function needNamedPipes(context: Mocha.Context): void {
  if (!isOnPath('mkfifo')) needProgram(context, 'mkfifo')
}

/** For a test that is about pipes among other things: what it leaves out is printed. @throws Error in CI */
export function hasNamedPipes(): boolean {
  return isOnPath('mkfifo') || isInstalled('mkfifo')
}

export function makeNamedPipe(path: string): void {
  execFileSync('mkfifo', [path])
}
