/** Runs one tool for a person or a script: progress on a terminal, the output on stdout, the rest on stderr. */
import { resolve } from 'node:path'
import { printableJson } from '@clawmesh/proto'
import { plainTextOf, type ToolName, type ToolResult } from '@clawmesh/proto/tools'
import type { ToolContext } from '../tools/index.ts'
import { createToolHost } from '../tools/tool-host.ts'
import { type AgentFlags, readAgentOptions } from './agent-options.ts'
import { type CommandLog, createCommandLog } from './command-log.ts'
import type { End } from './exit-code.ts'
import { INTERRUPTED, onInterrupt, type Terminal } from './terminal.ts'

export interface ToolRun {
  readonly tool: ToolName
  readonly args: unknown
  readonly flags: AgentFlags & { readonly json?: boolean; readonly out?: string }
  readonly maxWaitMs: number
  /** What Ctrl-C does, in words. */
  readonly onInterrupt: string
  readonly terminal: Terminal
  readonly end: End
  /** It is done only when the task has ended. */
  readonly waits?: boolean
  /** Prints the facts of a success; default: the output. */
  readonly show?: (result: ToolResult) => void
}

/** More than a result may hold: a person gets all of it. */
const ALL_TEXT = 64 * 1024 * 1024

export async function runTool(run: ToolRun): Promise<void> {
  const { tool, args, flags, maxWaitMs, terminal, end } = run
  const log = createCommandLog(terminal)
  const host = createToolHost({
    agent: await readAgentOptions(flags, log),
    stateDir: flags.state,
    env: terminal.env,
    maxTextLength: ALL_TEXT,
    log,
  })
  const interrupt = onInterrupt(terminal, () => terminal.say(run.onInterrupt))
  const progress = progressLine(terminal)
  try {
    const { agent, tools } = await host.get()
    const context: ToolContext = {
      ...{ agent, maxWaitMs, log, signal: interrupt.signal },
      workspaceDir: resolve(terminal.cwd, flags.out ?? '.'),
      onProgress: progress.tell,
    }
    const result = await tools.get(tool).run(args, context)
    progress.clear()
    showResult(result, run, log)
    if (interrupt.signal.aborted) end(INTERRUPTED)
    else if (result.isError) end(1)
    else if (run.waits === true && goesOn(result)) end(3)
  } finally {
    progress.clear()
    interrupt.stop()
    await host.close()
  }
}

const GOES_ON: readonly unknown[] = ['submitted', 'working', 'input-required', 'auth-required']

function goesOn({ details }: ToolResult): boolean {
  return GOES_ON.includes(details.state)
}

function showResult(result: ToolResult, run: ToolRun, log: CommandLog): void {
  const { terminal, flags, show } = run
  const { details, isError } = result
  if (flags.json === true) terminal.print(printableJson(details, 2))
  if (isError) sayRefusal(details, run, log)
  else if (flags.json === true) return
  else if (show !== undefined) show(result)
  else showOutput(result, terminal)
}

/** The hint of the error is for a program. */
const HOW_TO_INPUT =
  'give JSON with --input-json, text as it is; `mesh-agent peers --json` shows the schema'

function sayRefusal(
  { code, reason, said, id }: ToolResult['details'],
  { terminal: { say }, tool }: ToolRun,
  log: CommandLog,
): void {
  // what a model calls arguments of a tool, a person has typed
  if (code === 'TOOL_ARGUMENTS') {
    say(String(reason))
    say(`hint: mesh-agent ${tool.replace('mesh_', '')} --help`)
    return
  }
  say(`${String(code)}: ${String(reason)}`)
  if (typeof said === 'string') say(`the peer says: ${said}`)
  if (typeof id === 'string') say(`id: ${id}`)
  const hint = code === 'MESH_TASK_INPUT_INVALID' ? HOW_TO_INPUT : log.hint
  if (hint !== null) say(`hint: ${hint}`)
}

/** The output alone goes to stdout: as it is into a pipe, and plain onto a terminal. */
function showOutput(result: ToolResult, terminal: Terminal): void {
  const { output, files } = result.details
  if (goesOn(result)) terminal.print(plainTextOf(result.text))
  if (output !== undefined && output !== null && output !== '') {
    const words = typeof output === 'string' ? output : JSON.stringify(output, null, 2)
    const ending = words.endsWith('\n') ? '' : '\n'
    if (terminal.stdout.isTTY === true) terminal.write(`${plainTextOf(words)}${ending}`)
    else terminal.write(`${words}${ending}`)
  }
  if (Array.isArray(files))
    for (const file of files) terminal.say(`file: ${String(Reflect.get(file, 'path'))}`)
}

interface ProgressLine {
  tell(progress: { readonly fraction: number | null; readonly note: string }): void
  clear(): void
}

/** One line that is written over; nothing where nobody looks. */
function progressLine({ interactive, writeError }: Terminal): ProgressLine {
  let shown = false
  return {
    tell({ fraction, note }) {
      if (!interactive) return
      const percent = fraction === null ? '' : `${Math.round(fraction * 100)} % `
      writeError(`\r\u001b[2K${percent}${note.slice(0, 70)}`)
      shown = true
    },
    clear() {
      if (shown) writeError('\r\u001b[2K')
      shown = false
    },
  }
}
