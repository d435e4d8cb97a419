/** The command mesh-agent as a process, for a test: what it prints, how it ends, and signals in between. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { ofTheRun } from '../pki/run.ts'

export const MESH_AGENT = fileURLToPath(
  new URL('../../mesh-agent/bin/mesh-agent.cjs', import.meta.url),
)

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunningCommand {
  readonly pid: number | undefined
  /** What it has said so far. */
  stderr(): string
  stdout(): string
  signal(name: NodeJS.Signals): void
  readonly ended: Promise<Ended>
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly stdin?: string
}

export function startCommand(
  args: readonly string[],
  { env = {}, cwd, stdin = '' }: CommandOptions = {},
): RunningCommand {
  const child = spawn(process.execPath, [MESH_AGENT, ...args], {
    env: { PATH: process.env.PATH ?? '', ...ofTheRun(), NODE_NO_WARNINGS: '1', ...env },
    stdio: 'pipe',
    // only what hangs takes so long: it must not keep the tests
    timeout: 120_000,
    ...(cwd === undefined ? {} : { cwd }),
  })
  const said = { stdout: '', stderr: '' }
  child.stdout.on('data', (piece: Buffer) => {
    said.stdout += piece.toString()
  })
  child.stderr.on('data', (piece: Buffer) => {
    said.stderr += piece.toString()
  })
  child.stdin.on('error', () => {
    // it did not read all of it
  })
  child.stdin.end(stdin)
  const ended = once(child, 'close').then(([code]) => ({ code, ...said }))
  return {
    pid: child.pid,
    stderr: () => said.stderr,
    stdout: () => said.stdout,
    signal: (name) => void child.kill(name),
    ended,
  }
}

export function runCommand(args: readonly string[], options: CommandOptions = {}): Promise<Ended> {
  return startCommand(args, options).ended
}
