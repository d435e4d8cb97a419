/** The reference page of a command: what `--help` prints, from the command itself to its last subcommand. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export interface CommandPage {
  /** From the root of the repository. */
  readonly path: string
  readonly name: string
  /** The program, from the root of the repository. */
  readonly program: string
  /** Markdown, below the title. */
  readonly about: string
}

export const COMMAND_PAGES: readonly CommandPage[] = [
  {
    path: 'docs/reference/mesh-pki.md',
    name: 'mesh-pki',
    program: 'pki/src/cli/main.ts',
    about: `The command of the certificate authority. The guide is [Certificates](../guides/certificates.md). The command
ends with exit code 0 when all is well, with 1 when something was refused or failed, and with 2 for wrong usage.`,
  },
  {
    path: 'docs/reference/mesh-agent.md',
    name: 'mesh-agent',
    program: 'mesh-agent/src/cli/main.ts',
    about: `What stands beside an agent of any kind. The guide is [Claude Code, Codex and Cursor](../guides/agent-hosts.md). The
command ends with exit code 0 when all is well, with 1 when something was refused or failed, with 2 for wrong usage,
with 3 when the task goes on (it was waited for long enough, or its peer asks something), and with 130 when it was
interrupted. Results go to stdout, everything else to stderr.`,
  },
]

export async function commandPage({ name, program, about }: CommandPage): Promise<string> {
  const file = fileURLToPath(new URL(`../../${program}`, import.meta.url))
  const top = `# ${name}

<!-- Made by \`npm run docs\` from the output of --help. Do not edit. -->

${about}
`
  return [top, ...(await sectionsOf(name, file, []))].join('\n')
}

/** The section of a command, and those of its subcommands in the order of their list. */
async function sectionsOf(name: string, file: string, args: readonly string[]): Promise<string[]> {
  const { stdout: help } = await promisify(execFile)(process.execPath, [file, ...args, '--help'])
  const own = `## ${[name, ...args].join(' ')}\n\n\`\`\`\n${help}\`\`\`\n`
  const below = await Promise.all(
    subcommandsOf(help).map((each) => sectionsOf(name, file, [...args, each])),
  )
  return [own, ...below.flat()]
}

/** Names in the list under `Commands:`; further lines of an entry stand further to the right. */
function subcommandsOf(help: string): string[] {
  const [, list = ''] = /^Commands:\n((?: {2}.*\n)*)/m.exec(help) ?? []
  return [...list.matchAll(/^ {2}([a-z][\w-]*)/gm)].map(([, name = '']) => name)
}
