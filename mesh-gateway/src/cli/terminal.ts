/** What a command sees of the world, and how it speaks: results on stdout, everything else on stderr. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** Results. */
  readonly print: (text: string) => void
  /** Everything else: prefixed `mesh-gateway:`. */
  readonly say: (text: string) => void
  /** As it is, on stderr. */
  readonly writeError: (text: string) => void
  /** Where signals and crashes are heard. */
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
    process,
    exit: (code: number) => endProcess(process, code),
  })
}

/** What a question to the disk that is still open may take, before it counts as one that hangs, in milliseconds. */
const DISK_MS = 250

/**
 * Ends the process, also while the disk does not answer: `process.exit` would wait for the thread that asks it
 * (docs/discoveries/a-disk-that-hangs-keeps-a-process.md). Then it ends by SIGTERM, and the code is lost.
 */
export function endProcess(process: NodeJS.Process, code?: number): void {
  if (!waitsForDisk(process)) process.exit(code)
  setTimeout(() => {
    if (!waitsForDisk(process)) process.exit(code)
    process.removeAllListeners('SIGTERM')
    process.kill(process.pid, 'SIGTERM')
  }, DISK_MS)
}

function waitsForDisk(process: NodeJS.Process): boolean {
  return process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'))
}

/** Facts as lines of two columns. */
export function columns(facts: readonly (readonly [string, string])[]): string {
  const width = Math.max(...facts.map(([name]) => name.length)) + 2
  return facts.map(([name, value]) => name.padEnd(width) + value).join('\n')
}

/** Rows of equal columns under a head. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)),
  )
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
