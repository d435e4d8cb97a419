/** The environment of a command, and its output: results to stdout, everything else to stderr. */
import { printableLines } from '@clawmesh/proto'
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin: NodeJS.ReadStream
  /** Results. */
  readonly print: (text: string) => void
  /** Everything else: a line each, prefixed `mesh-pki:`. */
  readonly say: (text: string) => void
  /** True when a person can answer a prompt. */
  readonly interactive: boolean
  /** Unchanged, for prompts. */
  readonly writeError: (text: string) => void
}

export function openTerminal(process: NodeJS.Process): Terminal {
  return Object.freeze({
    env: process.env,
    stdin: process.stdin,
    print: (text: string) => void process.stdout.write(`${text}\n`),
    say: (text: string) => void process.stderr.write(`mesh-pki: ${text}\n`),
    interactive: process.stdin.isTTY === true && process.stderr.isTTY === true,
    writeError: (text: string) => void process.stderr.write(text),
  })
}

/**
 * A terminal on which only line feeds move the cursor: every command prints through one, so text from a file, a
 * certificate or a peer can neither overwrite other lines nor reorder them.
 */
export function plainTerminal(terminal: Terminal): Terminal {
  return {
    ...terminal,
    print: (text) => terminal.print(printableLines(text)),
    say: (text) => terminal.say(printableLines(text)),
  }
}
