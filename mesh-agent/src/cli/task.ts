/** `mesh-agent task`: comes back to tasks that were given to peers. */
import type { Command } from 'commander'
import { type AgentFlags, withAgentOptions, withStateOption } from './agent-options.ts'
import type { End } from './exit-code.ts'
import { runTool } from './run-when-needed.ts'
import type { Terminal } from './terminal.ts'
import { MAX_MS, parseDuration, parseJson } from './values.ts'

interface Options extends AgentFlags {
  readonly peer?: string
  readonly wait?: number
  readonly answerJson?: unknown
  readonly inputId?: string
  readonly reason?: string
  readonly out?: string
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ mesh-agent task list
  $ mesh-agent task wait 01a2… --wait 10m
  $ mesh-agent task answer 01a2… Lyon
  $ mesh-agent task cancel 01a2… --reason 'not needed any more'

A task that is not in the list of this machine needs --peer. Ctrl-C stops
waiting; the task goes on.`

export function addTask(program: Command, terminal: Terminal, end: End): void {
  const task = program
    .command('task')
    .description('the tasks that were given to peers')
    .helpCommand(false)
    .addHelpText('after', EXAMPLES)

  const run = (args: Readonly<Record<string, unknown>>, options: Options) =>
    runTool({
      tool: 'mesh_task',
      args: { ...args, ...(options.peer === undefined ? {} : { peer: options.peer }) },
      flags: options,
      maxWaitMs: options.wait ?? MAX_MS,
      onInterrupt: 'the task goes on; once more to leave at once',
      ...{ terminal, end, waits: args.action === 'wait' || args.action === 'answer' },
      ...(SHOWN.includes(String(args.action)) ? { show: ({ text }) => terminal.print(text) } : {}),
    })

  withCommon(task.command('wait <id>'))
    .description('wait for the result of a task')
    .option('--wait <duration>', 'wait no longer, e.g. 10m (default: to the end)', parseDuration)
    .option('--out <dir>', 'where files of the result go (default: here)')
    .action((id: string, options: Options) => run({ action: 'wait', id }, options))

  withCommon(task.command('status <id>'))
    .description('where a task stands')
    .action((id: string, options: Options) => run({ action: 'status', id }, options))

  withCommon(task.command('answer <id> [answer]'))
    .description('answer a question of the peer, and wait for the result')
    .option('--answer-json <json>', 'the answer as JSON', parseJson)
    .option('--input-id <id>', 'which question, if several are open')
    .option('--wait <duration>', 'wait no longer, e.g. 10m (default: to the end)', parseDuration)
    .option('--out <dir>', 'where files of the result go (default: here)')
    .action((id: string, answer: string | undefined, options: Options) => {
      const { answerJson = answer, inputId } = options
      const which = inputId === undefined ? {} : { input_id: inputId }
      return run({ action: 'answer', id, answer: answerJson, ...which }, options)
    })

  withCommon(task.command('cancel <id>'))
    .description('stop a task')
    .option('--reason <text>', 'why, for the peer')
    .action((id: string, options: Options) => {
      const { reason } = options
      return run({ action: 'cancel', id, ...(reason === undefined ? {} : { reason }) }, options)
    })

  withCommon(task.command('list'))
    .description('the tasks that were given to peers, newest first')
    .action((options: Options) => run({ action: 'list' }, options))
}

/** Whose result is words of our own. */
const SHOWN: readonly string[] = ['status', 'cancel', 'list']

function withCommon(command: Command): Command {
  return withStateOption(withAgentOptions(command))
    .option('--peer <peer>', 'the peer that has it')
    .option('--json', 'print the facts as JSON')
}
