/** The help of the commands of this repository, asked in this process: another takes a second of the CPU for each page. */
import { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import { runCommand as runAgent } from '../../mesh-agent/src/cli/run-command.ts'
import { runCommand as runGateway } from '../../mesh-gateway/src/cli/run-command.ts'
import { runCommand as runPki } from '../../pki/src/cli/run-command.ts'

export type Program = 'mesh-agent' | 'mesh-gateway' | 'mesh-pki'

/**
 * What a command prints for `--help`.
 * @param words the names of the command and its subcommand. None: the program as a whole
 * @returns null when there is no such command
 */
export async function helpOf(program: Program, words: readonly string[]): Promise<string | null> {
  let printed = ''
  const code = await RUN[program]([...words, '--help'], (text) => {
    printed += text
  })
  // for a name that it does not know, a program prints the help of the program
  const usage = /^usage:\s+(.*)$/im.exec(printed)?.[1] ?? ''
  return code === 0 && words.every((word) => usage.split(' ').includes(word)) ? printed : null
}

export function isProgram(name: string): name is Program {
  return Object.hasOwn(RUN, name)
}

type Run = (args: readonly string[], write: (text: string) => void) => Promise<number>

const ignore = () => {}
const SILENT = Object.freeze({ env: {}, cwd: '/', say: ignore, writeError: ignore, exit: ignore })

const RUN: Readonly<Record<Program, Run>> = Object.freeze({
  'mesh-agent': (args, write) =>
    runAgent(args, {
      ...SILENT,
      ...{ interactive: false, process: new EventEmitter() },
      ...{ stdin: new PassThrough(), stdout: new PassThrough() },
      ...{ write, print: (text) => write(`${text}\n`) },
    }),
  'mesh-gateway': (args, write) =>
    runGateway(args, {
      ...SILENT,
      ...{ process: new EventEmitter(), print: (text) => write(`${text}\n`) },
    }),
  'mesh-pki': (args, write) =>
    runPki(args, {
      ...SILENT,
      ...{ interactive: false, stdin: process.stdin, print: (text) => write(`${text}\n`) },
    }),
})
