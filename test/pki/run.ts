/** Runs programs to their end: exit code, stdout, stderr. */
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

export async function run(
  file: string,
  args: readonly string[],
  { input = '', env = {}, cwd }: RunOptions = {},
): Promise<Ran> {
  const { PATH = '', HOME = '', TMPDIR = '/tmp' } = process.env
  const child = spawn(file, args, {
    env: { PATH, HOME, TMPDIR, ...ofTheRun(), ...env },
    ...(cwd === undefined ? {} : { cwd }),
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  // a program may end without having read its input
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const [code, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)])
  return { code, stdout, stderr }
}

/** What the run of the tests tells every process of Node that it starts. */
export function ofTheRun(): Record<string, string> {
  const names = ['NODE_V8_COVERAGE', 'NODE_COMPILE_CACHE']
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )
}

export const MESH_PKI = fileURLToPath(new URL('../../pki/src/cli/main.ts', import.meta.url))

export function meshPki(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return run(process.execPath, [MESH_PKI, ...args], options)
}
