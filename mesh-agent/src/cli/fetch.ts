/** `mesh-agent fetch`: one request through the egress port of the gateway. */
import { type Command, InvalidArgumentError } from 'commander'
import { type AgentFlags, withAgentOptions } from './agent-options.ts'
import type { End } from './exit-code.ts'
import { runTool } from './run-when-needed.ts'
import type { Terminal } from './terminal.ts'
import { parseDuration } from './values.ts'

interface Options extends AgentFlags {
  readonly method?: string
  readonly header?: Readonly<Record<string, string>>
  readonly data?: string
  readonly wait?: number
  readonly out?: string
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ mesh-agent fetch https://api.example.com/items
  $ mesh-agent fetch https://api.example.com/items --method POST --data '{}' \\
      --header 'content-type: application/json'

Text goes to stdout, a binary body into a file below mesh-results/ in --out.`

const FETCH_MS = 120_000

export function addFetch(program: Command, terminal: Terminal, end: End): void {
  withAgentOptions(program.command('fetch'))
    .description('fetch a URL through the gateway')
    .argument('<url>', 'http or https')
    .option('--method <method>', 'GET, HEAD, POST, PUT, PATCH or DELETE (default: GET)')
    .option('--header <line>', 'name: value; may be repeated', addHeader)
    .option('--data <text>', 'the body')
    .option('--wait <duration>', 'wait no longer (default: 2m)', parseDuration)
    .option('--out <dir>', 'where a binary body goes (default: here)')
    .option('--json', 'print the facts as JSON')
    .addHelpText('after', EXAMPLES)
    .action((url: string, options: Options) => {
      const { method, header: headers, data: body, wait = FETCH_MS } = options
      const more = Object.entries({ method, headers, body }).filter(
        ([, value]) => value !== undefined,
      )
      return runTool({
        tool: 'mesh_fetch',
        args: { url, ...Object.fromEntries(more) },
        ...{ flags: options, maxWaitMs: wait, terminal, end },
        onInterrupt: 'leaving',
      })
    })
}

function addHeader(
  line: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const [, name, value] = /^([^:\s]+):\s*(.*)$/.exec(line) ?? []
  if (name === undefined || value === undefined)
    throw new InvalidArgumentError("write it like 'accept: text/plain'.")
  return { ...before, [name]: value }
}
