/** The commands that do one thing and end, loaded together. */
import type { Command } from 'commander'
import type { Terminal } from '../process/terminal.ts'
import { addBackup } from './backup.ts'
import { addDoctor } from './doctor.ts'
import { explainCommand } from './explain.ts'
import type { CommandOutput } from './explanation.ts'
import { addIssueToken } from './issue-token.ts'
import { addKeys } from './keys.ts'
import { policyCommand } from './policy.ts'
import { addRevoke } from './revoke.ts'
import { addServiceAccount } from './service-account.ts'
import { treesCommand } from './trees.ts'

export function addShortCommands(
  program: Command,
  terminal: Terminal,
  output: CommandOutput,
): void {
  addIssueToken(program, terminal)
  addKeys(program, terminal)
  addServiceAccount(program, terminal)
  addRevoke(program, terminal)
  addBackup(program, terminal)
  addDoctor(program, terminal, output)
  for (const make of [policyCommand, explainCommand, treesCommand])
    program.addCommand(inherit(make(output, terminal), program))
}

/** Gives a command that was built elsewhere the output and exit behaviour of its parent. */
function inherit(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent)
  for (const inner of command.commands) inherit(inner, parent)
  return command
}
