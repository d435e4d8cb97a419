/** The real command mesh-gateway in a directory of its own, with policy and without a configuration in the environment. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { runCommand } from '../../../mesh-gateway/src/cli/run-command.ts'

export interface Transcript {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Workplace {
  readonly dir: string
  /** Runs the command to its end, in this process: starting one takes a second. */
  run(...args: string[]): Promise<Transcript>
  runWith(env: Readonly<Record<string, string>>, ...args: string[]): Promise<Transcript>
  /** Runs the real command, as a process, to its end. */
  runProcess(env: Readonly<Record<string, string>>, ...args: string[]): Promise<Transcript>
  /** Starts it, and leaves its end to the caller. */
  spawn(...args: string[]): ReturnType<typeof spawn>
  write(name: string, value: unknown): Promise<void>
  close(): Promise<void>
}

const MAIN = fileURLToPath(new URL('../../../mesh-gateway/src/cli/main.ts', import.meta.url))

export async function makeWorkplace(): Promise<Workplace> {
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-cli-'))
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('MESH_')),
  )
  const start = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    spawn(process.execPath, [MAIN, ...args], {
      cwd: dir,
      env: { ...clean, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  const here = (said: string) => said.replaceAll(dir, 'DIR')
  const run = async (env: Readonly<Record<string, string>>, args: readonly string[]) => {
    const said = { stdout: '', stderr: '' }
    const code = await runCommand(args, {
      env,
      cwd: dir,
      print: (line) => {
        said.stdout += `${line}\n`
      },
      say: (line) => {
        said.stderr += `mesh-gateway: ${line}\n`
      },
      writeError: (text) => {
        said.stderr += text
      },
      process: new EventEmitter(),
      exit: () => assert.fail('only the process may end'),
    })
    return { code, stdout: here(said.stdout), stderr: here(said.stderr) }
  }
  const runProcess = async (env: Readonly<Record<string, string>>, args: readonly string[]) => {
    const child = start(args, env)
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'exit'),
    ])
    return { code, stdout: here(stdout), stderr: here(stderr) }
  }
  const write = async (name: string, value: unknown) => {
    await mkdir(join(dir, name, '..'), { recursive: true })
    await writeFile(join(dir, name), typeof value === 'string' ? value : JSON.stringify(value))
  }
  await write('policy/acme.json', {
    tenant: 'acme',
    egress: { allow: ['api.openai.com', '*.example.com'] },
  })
  await write('gateway.json', {
    trustDomain: 'mesh.internal',
    identity: { dir: 'identity' },
    policy: { dir: 'policy' },
    keys: { dir: 'keys' },
    serviceAccounts: { file: 'accounts.json' },
    audit: { file: 'audit.log' },
    egress: { listen: '127.0.0.1:0' },
    delegation: { listen: '127.0.0.1:0' },
    admin: { listen: '127.0.0.1:0' },
  })
  return {
    dir,
    run: (...args) => run({}, args),
    runWith: (env, ...args) => run(env, args),
    runProcess: (env, ...args) => runProcess(env, args),
    // its memory is measured, and counting coverage takes some: an empty value turns it off
    spawn: (...args) => start(args, { NODE_V8_COVERAGE: '' }),
    write,
    close: () => rm(dir, { recursive: true, force: true }),
  }
}
