/** Builds the command line, runs it, and words its errors. */
import { type ErrorCode, MeshError } from '@clawmesh/proto'
import { commandMeant, explainError, usageFault } from '@clawmesh/proto/command-line'
import { Command } from 'commander'
import { ConfigInvalid } from '../config/resolve-config.ts'
import { SETTINGS } from '../config/settings.ts'
import { plainTerminal, type Terminal } from '../process/terminal.ts'
import { VERSION } from '../version.ts'
import type { CommandOutput } from './explanation.ts'
import { formatHelpItem } from './help-item.ts'
import { addStart } from './start.ts'

/** 0 success, 1 refused or failed, 2 wrong usage, 3 do not start again: a token did not take the PIN, and may lock. */
export type ExitCode = 0 | 1 | 2 | 3

const EXAMPLES = `
Examples:
  $ mesh-gateway start --config gateway.json
  $ mesh-gateway issue-token --config gateway.json --agent-id bot-01
  $ mesh-gateway keys rotate --config gateway.json
  $ mesh-gateway service-account create --tenant acme --agent-id bot-01
  $ mesh-gateway revoke agent acme/planner --config gateway.json
  $ mesh-gateway policy check policy/
  $ mesh-gateway doctor --config gateway.json

MESH_CONFIG may name the configuration once for all of them.`

/** Fixed, for any terminal: the examples are written for this width. */
const HELP_COLUMNS = 80

/** The first words that need no other command. */
const ALONE: ReadonlySet<string> = Object.freeze(new Set(['start', '--version', '-V']))

/** The setting of the file or directory that an error is about. */
const SETTING_OF: Partial<Record<ErrorCode, string>> = {
  MESH_IDENTITY_UNREADABLE: 'identity.dir',
  MESH_IDENTITY_INVALID: 'identity.dir',
  MESH_POLICY_INVALID: 'policy.dir',
  MESH_KEYS_UNUSABLE: 'keys.dir',
  MESH_KEYS_READ_ONLY: 'keys.dir',
  MESH_ACCOUNTS_UNUSABLE: 'serviceAccounts.file',
}

/** @param args without the names of node and the script */
export async function runCommand(args: readonly string[], given: Terminal): Promise<ExitCode> {
  const terminal = plainTerminal(given)
  const outcome: { code: ExitCode } = { code: 0 }
  const output: CommandOutput = {
    result: (text) => terminal.print(text.trimEnd()),
    note: (text) => terminal.say(text),
    failed() {
      outcome.code = 1
    },
  }
  const program = new Command('mesh-gateway')
    .description('The gateway of a mesh of agents: an egress proxy and a delegation proxy.')
    .helpCommand(false)
    .version(VERSION, '-V, --version', 'print the version')
    .addHelpText('after', EXAMPLES)
    .exitOverride()
    .configureHelp({ formatItem: formatHelpItem, helpWidth: HELP_COLUMNS })
    .configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.writeError(text),
      outputError: (text) => terminal.say(usageFault(text)),
    })
  addStart(program, terminal)
  const [name = ''] = args
  if (!ALONE.has(name)) {
    // loaded on demand: a running gateway or supervisor needs none of it
    const { addShortCommands } = await import('./short-commands.ts')
    await addShortCommands(name, program, terminal, output)
  }
  try {
    await program.parseAsync(args, { from: 'user' })
    return outcome.code
  } catch (error) {
    return explain(error, args, program, terminal)
  }
}

function explain(
  error: unknown,
  args: readonly string[],
  program: Command,
  terminal: Terminal,
): ExitCode {
  const { say } = terminal
  const code = explainError(error, {
    ...{ args, program, say },
    usageHint: (usage) => usageHint(usage, args, program),
  })
  if (!(error instanceof MeshError)) return code
  const key = SETTING_OF[error.code] ?? SETTINGS.find((one) => error.hint.includes(one.key))?.key
  const setting = SETTINGS.find((one) => one.key === key)
  const { command } = commandMeant(args, program)
  // some commands have a flag of their own for it, or none
  if (setting !== undefined && command.options.some(({ long }) => long === `--${setting.flag}`))
    if (!error.hint.includes(setting.env))
      say(`hint: ${setting.key} is --${setting.flag} or ${setting.env}`)
  if (error.code === 'MESH_HSM_PIN' && args[0] === 'start') return 3
  return isOfFlags(error) ? 2 : code
}

/** The configuration is named by an option. Many other programs take it as an argument. */
function usageHint(code: string, args: readonly string[], program: Command): string {
  const { line, command } = commandMeant(args, program)
  const file = args.find((arg) => arg.endsWith('.json'))
  const named =
    command.options.some(({ long }) => long === '--config') && !args.includes('--config')
  return code === 'commander.excessArguments' && file !== undefined && named
    ? `${line} --config ${file}`
    : `${line} --help`
}

/** A wrong flag is wrong usage, whatever else is wrong. */
function isOfFlags(error: MeshError): boolean {
  return error instanceof ConfigInvalid && error.faults.some(({ source }) => isFlag(source))
}

function isFlag(source: string | null): boolean {
  return SETTINGS.some(({ flag }) => source === `--${flag}`)
}
