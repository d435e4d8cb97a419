/** Words the errors of a command line, and chooses its exit code. */
import { MeshError } from '../mesh-error.ts'
import { type CommandNode, commandMeant } from './command-meant.ts'

/** What commander throws (`CommanderError`), which has said its message by then. */
interface UsageError extends Error {
  readonly code: string
  readonly exitCode: number
}

export interface ExplainOptions<C> {
  /** Without the names of node and the script. */
  readonly args: readonly string[]
  readonly program: C
  /** Prints a line to stderr. */
  readonly say: (text: string) => void
  /** What to type in place of the wrong line. Default: the help of the command that was meant. */
  readonly usageHint?: (code: string) => string
}

/** @returns 0 after help or the version, 2 for wrong usage, 1 for what was refused, what failed, and faults of the program */
export function explainError<C extends CommandNode<C>>(
  error: unknown,
  { args, program, say, usageHint }: ExplainOptions<C>,
): 0 | 1 | 2 {
  if (isUsageError(error)) {
    if (error.exitCode === 0) return 0
    const lead = usageHint?.(error.code) ?? `${commandMeant(args, program).line} --help`
    // help that was shown for a missing command is enough
    if (error.code !== 'commander.help') say(`hint: ${lead}`)
    return 2
  }
  if (error instanceof MeshError) {
    say(error.message)
    say(`hint: ${error.hint}`)
    return 1
  }
  // any other error is a fault of this program: a report needs the stack
  say(error instanceof Error ? (error.stack ?? error.message) : 'it failed')
  say(`hint: this is a fault of ${program.name()}; please report it`)
  return 1
}

function isUsageError(error: unknown): error is UsageError {
  if (!(error instanceof Error && 'code' in error && 'exitCode' in error)) return false
  return typeof error.code === 'string' && error.code.startsWith('commander.')
}
