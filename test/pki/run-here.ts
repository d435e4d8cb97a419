/** The command mesh-pki in this process: starting another takes half a second of the CPU. */
import { runCommand } from '../../pki/src/cli/run-command.ts'
import type { Ran } from './run.ts'

export interface RunHereOptions {
  readonly env?: Readonly<Record<string, string>>
  /** What relative paths are relative to: this process goes there, so one command runs at a time. Default: where it is. */
  readonly cwd?: string
}

/** As without a terminal: nobody is asked. */
export async function meshPkiHere(
  args: readonly string[],
  { env = {}, cwd = process.cwd() }: RunHereOptions = {},
): Promise<Ran> {
  const said = { stdout: '', stderr: '' }
  const before = process.cwd()
  process.chdir(cwd)
  try {
    const code = await runCommand(args, {
      env,
      stdin: process.stdin,
      interactive: false,
      print: (text) => {
        said.stdout += `${text}\n`
      },
      say: (text) => {
        said.stderr += `mesh-pki: ${text}\n`
      },
      writeError: (text) => {
        said.stderr += text
      },
    })
    return { code, ...said }
  } finally {
    process.chdir(before)
  }
}
