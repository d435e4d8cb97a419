/** One process of the development mesh: started, listened to, ended in order, and its last words kept. */
import { type ChildProcess, fork, type Serializable } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

export interface ProcessOptions {
  readonly name: string
  /** The file that node runs. */
  readonly file: URL
  readonly args?: readonly string[]
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Everything it prints is kept here. Default: nowhere. */
  readonly logFile?: string
  /** Loads end-with-parent.ts first: for commands that know nothing of a parent. Default false. */
  readonly foreign?: boolean
  readonly onMessage?: (message: unknown) => void
  /** Called with each line on stdout and stderr. */
  readonly onLine?: (line: string) => void
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface RunningProcess {
  readonly name: string
  readonly pid: number
  /** Resolves when it has ended and all it printed has been read. */
  readonly ended: Promise<Ended>
  send(message: Serializable): void
  /** What it printed last. */
  lastLines(): readonly string[]
  /** Asks it to end, and ends it after `graceMs` milliseconds. */
  stop(graceMs: number): Promise<Ended>
}

const KEPT_LINES = 20

export function startProcess(options: ProcessOptions): RunningProcess {
  const { name, file, args = [], cwd, env = {}, foreign = false } = options
  const preload = foreign ? ['--import', new URL('end-with-parent.ts', import.meta.url).href] : []
  const child = fork(fileURLToPath(file), args, {
    execArgv: preload,
    env: { ...ownEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // its own group: Ctrl-C reaches the parent only, which ends its children in order
    detached: true,
    ...(cwd === undefined ? {} : { cwd }),
  })
  const lines: string[] = []
  const log = options.logFile === undefined ? null : createWriteStream(options.logFile)
  // a log that cannot be written must not end the mesh
  log?.on('error', () => {})
  for (const stream of [child.stdout, child.stderr])
    readLines(stream, (line) => {
      lines.push(line)
      if (lines.length > KEPT_LINES) lines.shift()
      log?.write(`${line}\n`)
      options.onLine?.(line)
    })
  child.on('message', (message) => options.onMessage?.(message))
  const ended = whenEnded(child, lines).finally(() => log?.end())
  return {
    name,
    pid: child.pid ?? 0,
    ended,
    send(message) {
      if (child.connected) child.send(message, () => {})
    },
    lastLines: () => [...lines],
    async stop(graceMs) {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
      return ended.finally(() => clearTimeout(timer))
    },
  }
}

/** Without the settings of a mesh that the developer may have: each process is told its own. */
function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('MESH_')),
  )
}

function whenEnded(child: ChildProcess, lines: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      lines.push(String(error))
      if (child.pid === undefined) resolve({ code: 1, signal: null })
    })
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
}

function readLines(stream: Readable | null, onLine: (line: string) => void): void {
  if (stream === null) return
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', onLine)
}
