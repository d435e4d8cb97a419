/** The reference page of a command: what `--help` prints, from the command itself to its last subcommand. */
import { helpOf, type Program } from './command-help.ts'

export interface CommandPage {
  /** From the root of the repository. */
  readonly path: string
  readonly name: Program
  /** Markdown, below the title. */
  readonly about: string
}

export const COMMAND_PAGES: readonly CommandPage[] = [
  {
    path: 'docs/reference/mesh-pki.md',
    name: 'mesh-pki',
    about: `The command of the certificate authority. The guide is [Certificates](../guides/certificates.md). The command
ends with exit code 0 when all is well, with 1 when something was refused or failed, and with 2 for wrong usage.`,
  },
  {
    path: 'docs/reference/mesh-agent.md',
    name: 'mesh-agent',
    about: `What stands beside an agent of any kind. The guide is [Claude Code, Codex and Cursor](../guides/agent-hosts.md). The
command ends with exit code 0 when all is well, with 1 when something was refused or failed, with 2 for wrong usage,
with 3 when the task goes on (it was waited for long enough, or its peer asks something), and with 130 when it was
interrupted. Results go to stdout, everything else to stderr.`,
  },
]

export async function commandPage({ name, about }: CommandPage): Promise<string> {
  const top = `# ${name}

<!-- Made by \`npm run docs\` from the output of --help. Do not edit. -->

${about}
`
  return [top, ...(await sectionsOf(name, []))].join('\n')
}

/** The section of a command, and those of its subcommands in the order of their list. */
async function sectionsOf(name: Program, words: readonly string[]): Promise<string[]> {
  const help = await helpOf(name, words)
  if (help === null) throw new TypeError(`${[name, ...words].join(' ')}: no such command`)
  const own = `## ${[name, ...words].join(' ')}\n\n\`\`\`\n${help}\`\`\`\n`
  const below: string[] = []
  for (const each of subcommandsOf(help)) below.push(...(await sectionsOf(name, [...words, each])))
  return [own, ...below]
}

/** Names in the list under `Commands:`; further lines of an entry stand further to the right. */
function subcommandsOf(help: string): string[] {
  const [, list = ''] = /^Commands:\n((?: {2}.*\n)*)/m.exec(help) ?? []
  return [...list.matchAll(/^ {2}([a-z][\w-]*)/gm)].map(([, name = '']) => name)
}
