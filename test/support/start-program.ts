/** A foreign program as a process: started, read, ended in order, and its last words kept for the failure. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

export interface ProgramOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd?: string
  /** Asked again and again until it is true, or throws no more. Default: it is ready at once. */
  readonly isReady?: () => Promise<boolean>
  /** The signal that ends it. Default SIGTERM. */
  readonly endSignal?: NodeJS.Signals
}

export interface Program {
  readonly pid: number
  /** What it printed last. */
  lastLines(): readonly string[]
  signal(signal: NodeJS.Signals): void
  close(): Promise<void>
}

/** Only a hang takes longer, on a machine that has much else to do too. */
const READY_MS = 60_000
const GRACE_MS = 15_000
const EVERY_MS = 50
const KEPT_LINES = 40

/** Resolves when it is ready. @throws Error with its last lines when it ends instead, or never is */
export async function startProgram(options: ProgramOptions): Promise<Program> {
  const { command, args, cwd, isReady, endSignal = 'SIGTERM' } = options
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  })
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      if (lines.length > KEPT_LINES) lines.shift()
    })
  const ended = once(child, 'close').catch((error: unknown) => {
    lines.push(String(error))
  })
  let over = false
  void ended.then(() => {
    over = true
  })
  const close = async () => {
    if (!over) child.kill(endSignal)
    const timer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS)
    await ended
    clearTimeout(timer)
  }
  for (const until = performance.now() + READY_MS; isReady !== undefined; ) {
    if (over) throw new Error(`${command} ended:\n${lines.join('\n')}`)
    if (await isReady().catch(() => false)) break
    if (performance.now() > until) {
      await close()
      throw new Error(`${command} is not ready after ${READY_MS} ms:\n${lines.join('\n')}`)
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
  }
  return {
    pid: child.pid ?? 0,
    lastLines: () => [...lines],
    signal: (signal) => void child.kill(signal),
    close,
  }
}
