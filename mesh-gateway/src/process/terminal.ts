/** The environment of a command, and its output: results to stdout, everything else to stderr. */
import { printable, printableLines } from '@clawmesh/proto'
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** Results. */
  readonly print: (text: string) => void
  /** Everything else: prefixed `mesh-gateway:`. */
  readonly say: (text: string) => void
  /** Unchanged, to stderr. */
  readonly writeError: (text: string) => void
  /** Shows a text on an emptied screen. Default: stdout is none. */
  readonly screen?: ((text: string) => void) | null
  /** The source of signals and crashes. */
  readonly process: Pick<NodeJS.EventEmitter, 'on' | 'off'>
  /** Ends the process at once; for a second signal and for a crash. */
  readonly exit: (code: number) => void
}

export function openTerminal(process: NodeJS.Process): Terminal {
  return Object.freeze({
    env: process.env,
    cwd: process.cwd(),
    print: (text: string) => void process.stdout.write(`${text}\n`),
    say: (text: string) => void process.stderr.write(`mesh-gateway: ${text}\n`),
    writeError: (text: string) => void process.stderr.write(text),
    screen: process.stdout.isTTY
      ? (text: string) => void process.stdout.write(`\u001b[H\u001b[2J${text}\n`)
      : null,
    process,
    exit: (code: number) => endProcess(process, code),
  })
}

/** How long disk operations may be pending, one or another, before the disk counts as hanging, in milliseconds. */
const DISK_MS = 1_000
const LOOK_MS = 10

/**
 * Ends the process, even while the disk does not answer: `process.exit` would wait for the thread of the operation
 * (docs/discoveries/a-disk-that-hangs-keeps-a-process.md). In that case it ends by SIGTERM, and the exit code is lost.
 */
export function endProcess(process: NodeJS.Process, code?: number): void {
  const hangsAtMs = performance.now() + DISK_MS
  const end = () => {
    if (!waitsForDisk(process)) process.exit(code)
    if (performance.now() < hangsAtMs) {
      setTimeout(end, LOOK_MS)
      return
    }
    process.removeAllListeners('SIGTERM')
    process.kill(process.pid, 'SIGTERM')
  }
  end()
}

function waitsForDisk(process: NodeJS.Process): boolean {
  return process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'))
}

/**
 * A terminal on which only line feeds move the cursor: every command prints through one, so text from a file, a
 * certificate or a peer can neither overwrite other lines nor reorder them.
 */
export function plainTerminal(terminal: Terminal): Terminal {
  const { screen = null } = terminal
  return {
    ...terminal,
    print: (text) => terminal.print(printableLines(text)),
    say: (text) => terminal.say(printableLines(text)),
    screen: screen === null ? null : (text) => screen(printableLines(text)),
  }
}

/** Formats rows in aligned columns under a head. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const shown = rows.map((row) => row.map(printable))
  const widths = head.map((title, i) =>
    Math.max(title.length, ...shown.map((row) => (row[i] ?? '').length)),
  )
  return [head, ...shown]
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
