/** Runs a command to its end, whatever its exit code. */
import { execFile } from 'node:child_process'

export interface Ran {
  /** 1 for a command that a signal has ended, or that is not there. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** Default: that of this process. */
  readonly env?: NodeJS.ProcessEnv
  /** For its stdin. Default: nothing. */
  readonly input?: string
}

export function runCommand(
  words: readonly string[],
  { env = process.env, input = '' }: RunOptions = {},
): Promise<Ran> {
  const [command = '', ...args] = words
  return new Promise((resolve) => {
    const child = execFile(command, args, { env, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      resolve({ code, stdout, stderr })
    })
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}
