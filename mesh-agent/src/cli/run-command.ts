/** Builds the command line, runs it, and words its errors. */
import { explainError, usageFault } from '@clawmesh/proto/command-line'
import { Command } from 'commander'
import { VERSION } from '../version.ts'
import { addDelegate } from './delegate.ts'
import type { End, ExitCode } from './exit-code.ts'
import { addFetch } from './fetch.ts'
import { addMcp } from './mcp.ts'
import { addOpenClaw } from './openclaw.ts'
import { addPeers } from './peers.ts'
import { addRelay } from './relay.ts'
import { addSkill } from './skill.ts'
import { addTask } from './task.ts'
import type { Terminal } from './terminal.ts'

const EXAMPLES = `
Examples:
  $ mesh-agent peers                                whom may I ask
  $ mesh-agent delegate researcher summarize https://example.com/
  $ mesh-agent task list                            what was given to peers
  $ mesh-agent task wait 01a2…                      the result of one of them
  $ mesh-agent fetch https://api.example.com/       through the gateway
  $ mesh-agent mcp                                  the same, for an agent host
  $ mesh-agent skill install                        tell agent hosts about it
  $ mesh-agent relay                                a way out for other programs
  $ mesh-agent openclaw doctor                      is OpenClaw behind it

Which agent it is, and where its gateway is, say --identity and --gateway,
or MESH_AGENT_IDENTITY and MESH_AGENT_GATEWAY once for all commands.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the task goes on,
130 interrupted.`

/** Fixed, for any terminal: the examples are written for this width. */
const HELP_COLUMNS = 80

/** @param args without the names of node and the script */
export async function runCommand(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const outcome: { code: ExitCode } = { code: 0 }
  const end: End = (code) => {
    outcome.code = code
  }
  const program = new Command('mesh-agent')
    .description(
      'What stands beside an agent of any kind: the tools of a mesh, for hosts and shells.',
    )
    .helpCommand(false)
    .version(VERSION, '-V, --version', 'print the version')
    .addHelpText('after', EXAMPLES)
    .exitOverride()
    .configureHelp({ helpWidth: HELP_COLUMNS })
    .configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.writeError(text),
      outputError: (text) => terminal.say(usageFault(text)),
    })
  addMcp(program, terminal)
  addDelegate(program, terminal, end)
  addTask(program, terminal, end)
  addPeers(program, terminal, end)
  addFetch(program, terminal, end)
  addSkill(program, terminal, end)
  addRelay(program, terminal)
  addOpenClaw(program, terminal, end)
  try {
    await program.parseAsync(args, { from: 'user' })
    return outcome.code
  } catch (error) {
    return explainError(error, { args, program, say: terminal.say })
  }
}
