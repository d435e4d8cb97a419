/** Programs that run as long as a cluster does: with a log each, ended in reverse order. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Programs {
  /** Starts it. */
  start(name: string, command: string, args: readonly string[], options?: StartOptions): void
  /** The end of its log. */
  lastWords(name: string): string
  /** Throws when one has ended, with its last words. */
  assertAlive(): void
  /** Ends one of them. */
  stop(name: string): Promise<void>
  close(): Promise<void>
}

export interface StartOptions {
  /** Words before the command, such as those that enter a network. Default: those of createPrograms. */
  readonly by?: readonly string[]
}

const KILL_AFTER_MS = 10_000

/** @param dir for the logs; they also run there */
export function createPrograms(dir: string, by: readonly string[] = []): Programs {
  const running = new Map<string, ChildProcess>()
  const logOf = (name: string) => join(dir, `${name}.log`)
  const lastWords = (name: string) => readFileSync(logOf(name), 'utf8').slice(-4_000)
  const stop = async (name: string) => {
    const child = running.get(name)
    running.delete(name)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS)
    await ended
    clearTimeout(timer)
  }
  return {
    start(name, command, args, options = {}) {
      const [program = '', ...words] = [...(options.by ?? by), command, ...args]
      const log = openSync(logOf(name), 'a')
      const child = spawn(program, words, {
        ...{ cwd: dir, stdio: ['ignore', log, log] },
      })
      closeSync(log)
      running.set(name, child)
    },
    lastWords,
    assertAlive() {
      for (const [name, { exitCode, signalCode }] of running)
        if (exitCode !== null || signalCode !== null)
          throw new Error(`${name} ended with ${exitCode ?? signalCode}:\n${lastWords(name)}`)
    },
    stop,
    async close() {
      for (const name of [...running.keys()].toReversed()) await stop(name)
    },
  }
}
