/** Starts processes, pinned to a core, and ends by their ids all that it started. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

export interface StartOptions {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** Null: any core. */
  readonly core: number | null
  readonly env?: Readonly<Record<string, string>>
}

export interface Started {
  readonly pid: number
  /** The next line of its standard output. Fails, with what it wrote to standard error, when it ends instead. */
  line(): Promise<string>
  send(line: string): void
  readonly ended: Promise<void>
  /** SIGTERM, and SIGKILL after `graceMs` milliseconds, default 3000. */
  stop(graceMs?: number): Promise<void>
}

export interface Processes {
  start(options: StartOptions): Started
  stopAll(): Promise<void>
}

const KEPT_STDERR = 4000

/** @param env for all of them, on top of this process's own */
export function createProcesses(env: Readonly<Record<string, string>> = {}): Processes {
  const running = new Set<Started>()
  return {
    start(options) {
      const started = start({ ...options, env: { ...env, ...options.env } })
      running.add(started)
      void started.ended.then(() => running.delete(started))
      return started
    },
    async stopAll() {
      await Promise.all([...running].map((one) => one.stop()))
    },
  }
}

function start(options: StartOptions): Started {
  const { name, command, args, core } = options
  const pinned = core === null ? [command, ...args] : ['taskset', '-c', `${core}`, command, ...args]
  const child = spawn(pinned[0] ?? command, pinned.slice(1), {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  })
  const lines: string[] = []
  const waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = []
  let stderr = ''
  let over = false
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-KEPT_STDERR)
  })
  child.stdin.on('error', () => {}) // it has ended; `ended` says so
  createInterface({ input: child.stdout }).on('line', (line) => {
    const first = waiting.shift()
    if (first === undefined) lines.push(line)
    else first.resolve(line)
  })
  const failure = (why: string) => new Error(`${name} ${why}${stderr === '' ? '' : `:\n${stderr}`}`)
  const ended = new Promise<void>((resolve) => {
    const finish = (why: string) => {
      over = true
      for (const one of waiting.splice(0)) one.reject(failure(why))
      resolve()
    }
    child.once('error', (error) => finish(`did not start (${error.message})`))
    child.once('close', (code, signal) => finish(`ended (${signal ?? code})`))
  })
  return {
    pid: child.pid ?? 0,
    ended,
    line: () =>
      new Promise((resolve, reject) => {
        const next = lines.shift()
        if (next !== undefined) resolve(next)
        else if (over) reject(failure('has ended'))
        else waiting.push({ resolve, reject })
      }),
    send: (line) => {
      child.stdin.write(`${line}\n`)
    },
    async stop(graceMs = 3000) {
      if (over) return
      child.kill('SIGTERM')
      const hard = setTimeout(() => child.kill('SIGKILL'), graceMs)
      await ended
      clearTimeout(hard)
    },
  }
}
