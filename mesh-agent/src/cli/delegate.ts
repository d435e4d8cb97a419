/** `mesh-agent delegate`: gives a task to a peer. */
import { createReadStream } from 'node:fs'
import { resolve } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import type { Command } from 'commander'
import { type AgentFlags, withAgentOptions, withStateOption } from './agent-options.ts'
import type { End } from './exit-code.ts'
import { runTool } from './run-when-needed.ts'
import type { Terminal } from './terminal.ts'
import { MAX_MS, parseDuration, parseJson } from './values.ts'

interface Options extends AgentFlags {
  readonly inputJson?: unknown
  readonly inputFile?: string
  readonly key?: string
  readonly wait?: number
  readonly detach?: boolean
  readonly out?: string
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ mesh-agent delegate researcher summarize https://example.com/
  $ mesh-agent delegate globex/translator translate - < text.txt > out.txt
  $ mesh-agent delegate writer report --input-json '{"year":2026}' --json
  $ mesh-agent delegate researcher crawl example.com --detach

The output goes to stdout; files go below mesh-results/ in --out. Ctrl-C cancels
the task at the peer. After --wait, or with --detach, the task goes on and its id
is printed for \`mesh-agent task\` (exit code 3; 0 with --detach).`

/** What one message of a delegation holds. */
const MAX_INPUT_BYTES = 3.5 * 1024 * 1024

export function addDelegate(program: Command, terminal: Terminal, end: End): void {
  withStateOption(withAgentOptions(program.command('delegate')))
    .description('give a task to a peer, and wait for its result')
    .argument('<peer>', 'an agent, tenant/agent, or a full name')
    .argument('<skill>', 'which of its skills')
    .argument('[input]', 'text; - reads it from stdin')
    .option('--input-json <json>', 'input as JSON', parseJson)
    .option('--input-file <file>', 'input as the text of a file')
    .option('--key <key>', 'the same key and input lead to the same task')
    .option('--wait <duration>', 'wait no longer, e.g. 10m (default: to the end)', parseDuration)
    .option('--detach', 'print the id as soon as the peer has the task')
    .option('--out <dir>', 'where files of the result go (default: here)')
    .option('--json', 'print the facts as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (peer: string, skill: string, text: string | undefined, options: Options) => {
      const { key, wait, detach = false } = options
      const input = await readInput(text, options, terminal)
      await runTool({
        tool: 'mesh_delegate',
        args: {
          ...{ peer, skill },
          ...(input === undefined ? {} : { input }),
          ...(key === undefined ? {} : { key }),
          ...(detach ? { wait_seconds: 0 } : {}),
        },
        flags: options,
        // a refusal is worth the moment
        maxWaitMs: detach ? ACCEPTANCE_MS : (wait ?? MAX_MS),
        onInterrupt: 'cancelling the task at the peer; once more to leave at once',
        ...{ terminal, waits: true },
        end: (code) => end(detach && code === 3 ? 0 : code),
        ...(detach ? { show: ({ details }) => terminal.print(String(details.id)) } : {}),
      })
    })
}

const ACCEPTANCE_MS = 30_000

async function readInput(
  text: string | undefined,
  { inputJson, inputFile }: Options,
  { stdin, cwd }: Terminal,
): Promise<unknown> {
  const given = [text, inputJson, inputFile].filter((each) => each !== undefined)
  if (given.length > 1)
    throw new MeshError('MESH_CONFIG_INVALID', 'the input is given twice', {
      hint: 'give one of: a text, -, --input-json, --input-file',
    })
  if (inputJson !== undefined) return inputJson
  if (inputFile !== undefined) return readText(createReadStream(resolve(cwd, inputFile)), inputFile)
  return text === '-' ? readText(stdin, 'stdin') : text
}

async function readText(stream: AsyncIterable<Buffer | string>, name: string): Promise<string> {
  const pieces: Buffer[] = []
  let length = 0
  try {
    for await (const piece of stream) {
      length += piece.length
      if (length > MAX_INPUT_BYTES)
        throw new MeshError('MESH_LIMIT_SIZE', `${name} holds more than ${MAX_INPUT_BYTES} bytes`)
      pieces.push(Buffer.from(piece))
    }
  } catch (cause) {
    if (cause instanceof MeshError) throw cause
    throw new MeshError('MESH_CONFIG_INVALID', `${name} cannot be read`, {
      cause,
      hint: 'name a file with text',
    })
  }
  return Buffer.concat(pieces).toString('utf8')
}
