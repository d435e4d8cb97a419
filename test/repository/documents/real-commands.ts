/** What the commands of the repository really take, as their own help says it. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../repository-files.ts'
import type { RealCommands } from './command-faults.ts'

export function realCommands(): RealCommands {
  const known = new Map<string, string | null>()
  const { scripts }: { scripts: Record<string, string> } = JSON.parse(
    readFileSync(join(ROOT, 'package.json'), 'utf8'),
  )
  return {
    npmScripts: new Set(Object.keys(scripts)),
    exists: (path) => existsSync(join(ROOT, path)),
    help(program, command) {
      const key = [program, ...command].join(' ')
      const before = known.get(key)
      if (before !== undefined) return before
      const answer = run(program, command)
      known.set(key, answer)
      return answer
    },
  }
}

function run(program: string, command: readonly string[]): string | null {
  try {
    const output = execFileSync(
      process.execPath,
      [join(ROOT, 'node_modules/.bin', program), ...command, '--help'],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
    )
    // the help of a command that has none of that name is the help of the program
    const usage = /^usage:\s+(.*)$/im.exec(output)?.[1] ?? ''
    return command.every((word) => usage.includes(word)) ? output : null
  } catch {
    // exit code 2: there is no such command
    return null
  }
}
