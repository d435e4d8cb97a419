/** The commands that do one thing and end. Each is loaded on demand: none needs what the others are made of. */
import type { Command } from 'commander'
import type { Terminal } from '../process/terminal.ts'
import type { CommandOutput } from './explanation.ts'

type AddCommand = (program: Command, terminal: Terminal, output: CommandOutput) => void
type MakeCommand = (output: CommandOutput, terminal: Terminal) => Command

/** In the order of the help. */
const SHORT_COMMANDS: Readonly<Record<string, () => Promise<AddCommand>>> = {
  'issue-token': async () => (await import('./issue-token.ts')).addIssueToken,
  keys: async () => (await import('./keys.ts')).addKeys,
  'service-account': async () => (await import('./service-account.ts')).addServiceAccount,
  revoke: async () => (await import('./revoke.ts')).addRevoke,
  backup: async () => (await import('./backup.ts')).addBackup,
  doctor: async () => (await import('./doctor.ts')).addDoctor,
  policy: async () => adding((await import('./policy.ts')).policyCommand),
  explain: async () => adding((await import('./explain.ts')).explainCommand),
  trees: async () => adding((await import('./trees.ts')).treesCommand),
  top: async () => adding((await import('./top.ts')).topCommand),
}

/** @param name the word of the command line that names the command. Any other word: the help names all of them. */
export async function addShortCommands(
  name: string,
  program: Command,
  terminal: Terminal,
  output: CommandOutput,
): Promise<void> {
  const named = Object.hasOwn(SHORT_COMMANDS, name) ? SHORT_COMMANDS[name] : undefined
  const loads = named === undefined ? Object.values(SHORT_COMMANDS) : [named]
  for (const load of loads) (await load())(program, terminal, output)
}

function adding(make: MakeCommand): AddCommand {
  return (program, terminal, output) => {
    program.addCommand(inherit(make(output, terminal), program))
  }
}

/** Gives a command that was built elsewhere the output and exit behaviour of its parent. */
function inherit(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent)
  for (const inner of command.commands) inherit(inner, parent)
  return command
}
