/** What the commands of the repository really take, as their own help says it. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { helpOf, isProgram } from '../../../scripts/docs/command-help.ts'
import { ROOT } from '../repository-files.ts'
import type { RealCommands } from './command-faults.ts'

export function realCommands(): RealCommands {
  const known = new Map<string, Promise<string | null>>()
  const { scripts }: { scripts: Record<string, string> } = JSON.parse(
    readFileSync(join(ROOT, 'package.json'), 'utf8'),
  )
  return {
    npmScripts: new Set(Object.keys(scripts)),
    exists: (path) => existsSync(join(ROOT, path)),
    help(program, command) {
      const key = [program, ...command].join(' ')
      const answer = known.get(key) ?? (isProgram(program) ? helpOf(program, command) : null)
      if (answer === null) return Promise.resolve(null)
      known.set(key, answer)
      return answer
    },
  }
}
