/** Commands in documents that are not those of the repository: npm scripts, files, subcommands and options. */
import type { CodeBlock } from './markdown-files.ts'

export interface RealCommands {
  /** The scripts of package.json. */
  readonly npmScripts: ReadonlySet<string>
  /** Is there such a file? */
  exists(path: string): boolean
  /** The help text of `mesh-gateway issue-token`, say; null when there is no such command. */
  help(program: string, command: readonly string[]): Promise<string | null>
}

const NPM_OWN: ReadonlySet<string> = new Set(['ci', 'install', 'pack', 'publish', 'view', 'ls'])

/** Commands of a shell block: continued lines joined, comments and prompts removed, pipes and && split. */
export function commandsOf(block: CodeBlock): string[] {
  if (!/^(?:sh|bash|shell|console)$/.test(block.language)) return []
  return block.text
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) =>
      line
        .replace(/^\$ /, '')
        .replace(/(?:^|\s)#.*$/, '')
        .trim(),
    )
    .flatMap((line) => line.split(/\s*(?:&&|\|\||;|\|(?![^"']*["'](?:\s|$)))\s*|\w+=\$\(|\$\(/))
    .map((command) =>
      command
        .replace(/^(?:[A-Z_]+=\S+\s+)+/, '')
        .replace(/\)$/, '')
        .trim(),
    )
    .filter((command) => command !== '')
}

export async function commandFaults(
  blocks: readonly CodeBlock[],
  real: RealCommands,
): Promise<string[]> {
  const faults: string[] = []
  for (const block of blocks)
    for (const command of commandsOf(block)) {
      const fault = await faultOf(command.split(/\s+/), real)
      if (fault !== null) faults.push(`${block.path}:${block.line}: ${command}: ${fault}`)
    }
  return faults
}

async function faultOf(words: readonly string[], real: RealCommands): Promise<string | null> {
  const [program = '', first = '', second = ''] = words
  if (program === 'npm') {
    const name = first === 'run' ? second : first
    if (first !== 'run' && NPM_OWN.has(first)) return null
    return real.npmScripts.has(name) ? null : `no script ${name} in package.json`
  }
  if (program === 'node') {
    const file = words.slice(1).find((word) => /^[^-].*\.[cm]?[jt]s$/.test(word))
    return file === undefined || real.exists(file) ? null : `no file ${file}`
  }
  const rest = program === 'npx' ? words.slice(1) : words
  const [tool = '', ...args] = rest
  return /^mesh-(?:pki|gateway|agent)$/.test(tool) ? await toolFault(tool, args, real) : null
}

async function toolFault(
  tool: string,
  args: readonly string[],
  real: RealCommands,
): Promise<string | null> {
  const command: string[] = []
  let help = await real.help(tool, command)
  for (const word of args) {
    if (!/^[a-z][a-z-]*$/.test(word)) break
    const deeper = await real.help(tool, [...command, word])
    if (deeper === null) break
    command.push(word)
    help = deeper
  }
  const spoken = [tool, ...command].join(' ')
  const [next = ''] = args
  if (command.length === 0 && /^[a-z][a-z-]*$/.test(next)) return `${tool} has no command ${next}`
  for (const word of args) {
    const [, option] = /^(--[a-z][a-z-]*)/.exec(word) ?? []
    if (option !== undefined && !(help ?? '').includes(option))
      return `${spoken} has no option ${option}`
  }
  return null
}
