/** A foreign program as a process: started, read, told, ended in order, and its last words kept for the failure. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

export interface SpawnOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd?: string
  /** Variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>>
  /** The signal that ends it. Default SIGTERM. */
  readonly endSignal?: NodeJS.Signals
  /** Whether `send` is used. Default false: it reads nothing. */
  readonly takesInput?: boolean
  /** Called with each line of its stdout. */
  readonly onLine?: (line: string) => void
  /** How many lines of its stdout and stderr are kept. Default 40. */
  readonly keptLines?: number
}

export interface ProgramOptions extends SpawnOptions {
  /** Asked again and again until it is true, or throws no more. Default: it is ready at once. */
  readonly isReady?: () => Promise<boolean>
}

export interface Program {
  readonly pid: number
  /** What it printed last. */
  lastLines(): readonly string[]
  /** Writes a line to its stdin. */
  send(line: string): void
  signal(signal: NodeJS.Signals): void
  /** Its exit code, the signal that ended it, or why it could not be started. */
  readonly ended: Promise<number | string>
  /** Ends it, at last by SIGKILL. */
  close(): Promise<void>
}

/** Only a hang takes longer, on a machine that has much else to do too. */
const READY_MS = 60_000
const GRACE_MS = 15_000
const EVERY_MS = 50

export function spawnProgram(options: SpawnOptions): Program {
  const { command, args, cwd, env, endSignal = 'SIGTERM', onLine, keptLines = 40 } = options
  const child = spawn(command, args, {
    stdio: [options.takesInput === true ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env: { ...process.env, ...env } }),
  })
  const lines: string[] = []
  const keep = (line: string) => {
    lines.push(line)
    if (lines.length > keptLines) lines.shift()
  }
  for (const stream of [child.stdout, child.stderr])
    if (stream !== null) createInterface({ input: stream }).on('line', keep)
  if (onLine !== undefined && child.stdout !== null)
    createInterface({ input: child.stdout }).on('line', onLine)
  // it may end by itself
  child.stdin?.on('error', () => {})
  let over = false
  const ended = once(child, 'close').then(
    ([code, signal]): number | string => signal ?? code,
    (error: unknown) => {
      keep(String(error))
      return String(error)
    },
  )
  void ended.then(() => {
    over = true
  })
  return {
    ...{ pid: child.pid ?? 0, ended },
    lastLines: () => [...lines],
    send: (line) => void child.stdin?.write(`${line}\n`),
    signal: (signal) => void child.kill(signal),
    async close() {
      if (!over) child.kill(endSignal)
      const timer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS)
      await ended
      clearTimeout(timer)
    },
  }
}

/** Resolves when it is ready. @throws Error with its last lines when it ends instead, or never is */
export async function startProgram({ isReady, ...options }: ProgramOptions): Promise<Program> {
  const program = spawnProgram(options)
  const { command } = options
  let over = false
  void program.ended.then(() => {
    over = true
  })
  const said = () => program.lastLines().join('\n')
  for (const until = performance.now() + READY_MS; isReady !== undefined; ) {
    if (over) throw new Error(`${command} ended:\n${said()}`)
    if (await isReady().catch(() => false)) break
    if (performance.now() > until) {
      await program.close()
      throw new Error(`${command} is not ready after ${READY_MS} ms:\n${said()}`)
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
  }
  return program
}
