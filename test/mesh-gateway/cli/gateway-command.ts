/** The real command mesh-gateway in a directory of its own, with policy and without a configuration in the environment. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { gatewayCommand } from '../../support/bundled-gateway.ts'
import { ONE_ROOT } from '../../support/one-root.ts'
import { waitFor } from '../../support/wait-for.ts'
import { runHere } from './run-here.ts'

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
  /** `mesh-gateway start` as a process, once it has said where it listens. What a test leaves of it, `close` ends. */
  start(...args: string[]): Promise<StartedGateway>
  write(name: string, value: unknown): Promise<void>
  close(): Promise<void>
}

export interface StartedGateway {
  readonly child: ChildProcess
  /** All so far. */
  stderr(): string
  /** What it has said of `egress`, `admin` and the like. */
  said(name: string): string
  /** With code and signal. */
  readonly ended: Promise<unknown[]>
}

/** Several processes on a busy machine. */
const START = { withinMs: 60_000 }

/** @param main the command; default that of the checkout */
export async function makeWorkplace(main?: string): Promise<Workplace> {
  const command = main ?? (await gatewayCommand())
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-cli-'))
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('MESH_')),
  )
  const running = new Set<ChildProcess>()
  const launch = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    spawn(process.execPath, [command, ...args], {
      cwd: dir,
      env: { ...clean, ...ONE_ROOT, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  const here = (said: string) => said.replaceAll(dir, 'DIR')
  const run = async (env: Readonly<Record<string, string>>, args: readonly string[]) => {
    const { code, ...said } = await runHere(dir, args, env)
    return { code, stdout: here(said.stdout), stderr: here(said.stderr) }
  }
  const runProcess = async (env: Readonly<Record<string, string>>, args: readonly string[]) => {
    const child = launch(args, env)
    running.add(child)
    child.once('exit', () => running.delete(child))
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
    async start(...args) {
      // its memory is measured, and counting coverage takes some: an empty value turns it off
      const child = launch(['start', '--config', 'gateway.json', ...args], { NODE_V8_COVERAGE: '' })
      running.add(child)
      const ended = once(child, 'exit').finally(() => running.delete(child))
      let stderr = ''
      child.stderr.on('data', (chunk) => {
        stderr += chunk
      })
      const listens = () => {
        assert.ok(running.has(child), stderr)
        return /mesh-gateway: admin +\S+\n/.test(stderr)
      }
      await waitFor('the admin address on stderr', listens, START)
      const said = (name: string) =>
        new RegExp(`mesh-gateway: ${name} +(\\S+)`).exec(stderr)?.[1] ?? ''
      return { child, stderr: () => stderr, said, ended }
    },
    write,
    async close() {
      const ends = [...running].map(async (child) => {
        child.kill('SIGKILL')
        await once(child, 'exit')
      })
      await Promise.all(ends)
      await rm(dir, { recursive: true, force: true })
    },
  }
}
