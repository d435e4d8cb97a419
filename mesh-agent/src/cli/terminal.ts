/** The environment of a command, and its output: results to stdout, everything else to stderr. */
import type { Readable, Writable } from 'node:stream'
import { printableLines } from '@clawmesh/proto'

export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly stdin: Readable & { readonly isTTY?: boolean }
  readonly stdout: Writable & { readonly isTTY?: boolean }
  /** Facts: lines without anything that acts on a terminal. */
  readonly print: (text: string) => void
  /** What was asked for, unchanged: for a file or a pipe. */
  readonly write: (text: string) => void
  /** Everything else: a line each, prefixed `mesh-agent:`. */
  readonly say: (text: string) => void
  /** Unchanged, to stderr. */
  readonly writeError: (text: string) => void
  /** A person looks at stderr. */
  readonly interactive: boolean
  /** The source of signals. */
  readonly process: Pick<NodeJS.EventEmitter, 'on' | 'off'>
  /** Ends the process at once; for a second signal. */
  readonly exit: (code: number) => void
}

export function openTerminal(process: NodeJS.Process): Terminal {
  const { env, stdin, stdout } = process
  return Object.freeze({
    ...{ env, stdin, stdout, process },
    cwd: process.cwd(),
    print: (text: string) => void stdout.write(`${printableLines(text)}\n`),
    write: (text: string) => void stdout.write(text),
    say: (text: string) => void process.stderr.write(`mesh-agent: ${printableLines(text)}\n`),
    writeError: (text: string) => void process.stderr.write(text),
    interactive: process.stderr.isTTY === true,
    exit: (code: number) => process.exit(code),
  })
}

export interface Interrupt {
  /** Aborts with the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal
  stop(): void
}

/** The second signal ends the process at once. @param onFirst what to tell */
export function onInterrupt(terminal: Terminal, onFirst: () => void = () => {}): Interrupt {
  const controller = new AbortController()
  const interrupted = () => {
    if (controller.signal.aborted) return terminal.exit(INTERRUPTED)
    onFirst()
    controller.abort()
  }
  for (const name of ['SIGINT', 'SIGTERM']) terminal.process.on(name, interrupted)
  return {
    signal: controller.signal,
    stop() {
      for (const name of ['SIGINT', 'SIGTERM']) terminal.process.off(name, interrupted)
    },
  }
}

/** As a shell counts an end by SIGINT. */
export const INTERRUPTED = 130
