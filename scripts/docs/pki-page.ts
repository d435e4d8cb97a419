/** The reference page of `mesh-pki`: what `--help` prints, from the command itself to its last subcommand. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** From the root of the repository. */
export const PKI_PAGE = 'docs/reference/mesh-pki.md'

const PROGRAM = fileURLToPath(new URL('../../pki/src/cli/main.ts', import.meta.url))
const TOP = `# mesh-pki

<!-- Made by \`npm run docs\` from the output of --help. Do not edit. -->

The command of the certificate authority. The guide is [Certificates](../guides/certificates.md). The command
ends with exit code 0 when all is well, with 1 when something was refused or failed, and with 2 for wrong usage.
`

export async function pkiPage(): Promise<string> {
  return [TOP, ...(await sectionsOf([]))].join('\n')
}

/** The section of a command, and those of its subcommands in the order of their list. */
async function sectionsOf(args: readonly string[]): Promise<string[]> {
  const { stdout: help } = await promisify(execFile)(process.execPath, [PROGRAM, ...args, '--help'])
  const own = `## ${['mesh-pki', ...args].join(' ')}\n\n\`\`\`\n${help}\`\`\`\n`
  const below = await Promise.all(subcommandsOf(help).map((name) => sectionsOf([...args, name])))
  return [own, ...below.flat()]
}

/** Names in the list under `Commands:`; further lines of an entry stand further to the right. */
function subcommandsOf(help: string): string[] {
  const [, list = ''] = /^Commands:\n((?: {2}.*\n)*)/m.exec(help) ?? []
  return [...list.matchAll(/^ {2}([a-z][\w-]*)/gm)].map(([, name = '']) => name)
}
