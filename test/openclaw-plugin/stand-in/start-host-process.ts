/** Starts a stand-in for OpenClaw as a process of its own, and calls tools in it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { waitFor } from '../../support/wait-for.ts'
import type { StandInOptions } from './openclaw.ts'

const HOST = fileURLToPath(new URL('./host-process.ts', import.meta.url))

export interface HostProcess {
  /** What a tool tells the model in a turn of the agent's own. */
  call(tool: string, args: unknown): Promise<HostAnswer>
  /** The first answer that fits: what is made in the background comes a moment after the start. */
  callUntil(tool: string, args: unknown, fits: (answer: HostAnswer) => boolean): Promise<HostAnswer>
  readonly ended: boolean
  stop(): Promise<void>
}

export interface HostAnswer {
  readonly text: string
  readonly details: { readonly clawmesh?: Readonly<Record<string, unknown>> }
  /** All that the plugin has logged so far. */
  readonly logged: readonly string[]
}

export interface HostProcessOptions extends Omit<StandInOptions, 'runTurn'> {
  /** What comes before the command, such as `unshare …`; its last part runs what follows it. */
  readonly before?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export async function startHostProcess({
  before = [],
  env = {},
  ...options
}: HostProcessOptions): Promise<HostProcess> {
  const [file = '', ...args] = [...before, process.execPath, HOST, JSON.stringify(options)]
  const child: ChildProcess = spawn(file, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
  const { stdin, stdout } = child
  if (stdin === null || stdout === null) throw new Error('the host has no pipes')
  stdin.on('error', () => {})
  const lines = createInterface(stdout)[Symbol.asyncIterator]()
  const next = async (): Promise<HostAnswer> => {
    const { value, done } = await lines.next()
    if (done === true) throw new Error('the host has ended')
    return JSON.parse(value)
  }
  await next()
  const call: HostProcess['call'] = (tool, asked) => {
    stdin.write(`${JSON.stringify({ tool, args: asked })}\n`)
    return next()
  }
  return {
    call,
    callUntil: (tool, asked, fits) =>
      waitFor(`an answer of ${tool}`, async () => {
        const answer = await call(tool, asked)
        return fits(answer) && answer
      }),
    get ended() {
      return child.exitCode !== null || child.signalCode !== null
    },
    async stop() {
      const over = once(child, 'exit')
      stdin.end()
      if (child.exitCode === null && child.signalCode === null) await over
    },
  }
}
