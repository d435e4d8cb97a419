/** A command of mesh-agent in this process: a process of its own takes a second, and a test runs dozens. */
import { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import { runCommand } from '../../../mesh-agent/src/cli/run-command.ts'
import type { Terminal } from '../../../mesh-agent/src/cli/terminal.ts'
import type { Ended } from '../agent-process.ts'

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly stdin?: string
}

export interface Command {
  /** What a person does: Ctrl-C. */
  interrupt(): void
  readonly ended: Promise<Ended>
}

export function startInProcess(
  args: readonly string[],
  { env = {}, cwd = '/', stdin = '' }: CommandOptions = {},
): Command {
  const signals = new EventEmitter()
  const said = { stdout: '', stderr: '' }
  const input = new PassThrough()
  input.end(stdin)
  const terminal: Terminal = {
    ...{ env, cwd, process: signals, interactive: false },
    stdin: input,
    stdout: Object.assign(new PassThrough(), { isTTY: false }),
    print: (text) => {
      said.stdout += `${text}\n`
    },
    write: (text) => {
      said.stdout += text
    },
    say: (text) => {
      said.stderr += `mesh-agent: ${text}\n`
    },
    writeError: (text) => {
      said.stderr += text
    },
    exit: (code) => {
      throw new Error(`it ends at once with ${code}`)
    },
  }
  return {
    interrupt: () => void signals.emit('SIGINT'),
    ended: runCommand(args, terminal).then((code) => ({ code, ...said })),
  }
}

export function runInProcess(
  args: readonly string[],
  options: CommandOptions = {},
): Promise<Ended> {
  return startInProcess(args, options).ended
}
