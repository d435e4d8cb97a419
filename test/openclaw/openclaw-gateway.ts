/** A real OpenClaw gateway as a process: a home, a configuration and a port of its own, and a mock model. */
import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { type Ended, type RunningProcess, startProcess } from '../../scripts/dev/child-process.ts'
import { freePort } from '../../scripts/dev/free-ports.ts'
import { isRecord } from '../../scripts/dev/message.ts'
import { waitUntilReady } from '../../scripts/dev/wait-until-ready.ts'
import type { InstalledOpenClaw } from './install-openclaw.ts'

export interface OpenClawOptions {
  readonly openclaw: InstalledOpenClaw
  readonly name: string
  /** Everything of it is in there; exists. */
  readonly dir: string
  /** Of the mock model. */
  readonly modelUrl: string
  /** Of the entry `plugins.entries.clawmesh`. */
  readonly plugin: Readonly<Record<string, unknown>>
  /** Merged over the configuration, section by section. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>
}

export interface OpenClaw {
  readonly name: string
  readonly dir: string
  readonly stateDir: string
  readonly workspaceDir: string
  readonly pid: number
  /** What it has printed since it was made. */
  log(): string
  /** Starts the process. Resolves when `/readyz` answers 200. */
  start(): Promise<void>
  /** As a crash. */
  kill(): Promise<Ended>
  stop(): Promise<Ended>
  /** The same, if it was started at all. */
  end(): Promise<void>
  /** Runs a command of OpenClaw for the same home: `plugins install …`. */
  command(...args: readonly string[]): Promise<string>
  /** One turn of an agent: what it says in the end. Aborting is a client that goes away. */
  turn(prompt: string, options?: TurnOptions): Promise<string>
  /** One tool, without a turn. */
  invoke(tool: string, args: unknown): Promise<unknown>
  /** Rewrites the configuration file, which OpenClaw follows. */
  edit(change: (config: Record<string, unknown>) => Record<string, unknown>): Promise<void>
  /** `/readyz` and its body. */
  ready(): Promise<{ readonly status: number; readonly body: string }>
  /** Resident memory in bytes. */
  residentBytes(): Promise<number>
}

export interface TurnOptions {
  readonly signal?: AbortSignal
  /** Turns with the same one are one conversation. Default: each turn is its own. */
  readonly user?: string
}

/** Only a hang takes longer, on a machine that has much else to do too. */
const READY_MS = 420_000
const STOP_MS = 30_000
const TOKEN = 'a-token-for-this-test-alone'

export async function makeOpenClaw(options: OpenClawOptions): Promise<OpenClaw> {
  const { openclaw, name, dir } = options
  const port = await freePort()
  const at = (part: string) => join(dir, part)
  const [home, tmp, stateDir, workspaceDir] = [at('home'), at('tmp'), at('state'), at('workspace')]
  for (const each of [home, tmp, stateDir, workspaceDir]) await mkdir(each, { recursive: true })
  const configFile = at('openclaw.json')
  const write = (config: unknown) => writeFile(configFile, JSON.stringify(config, null, 2))
  await write(merge(baseConfig({ ...options, port, workspaceDir }), options.config ?? {}))
  const env = {
    ...{ HOME: home, TMPDIR: tmp, OPENCLAW_STATE_DIR: stateDir, OPENCLAW_CONFIG_PATH: configFile },
    ...{ OPENCLAW_NO_RESPAWN: '1', OPENCLAW_HIDE_BANNER: '1', NO_COLOR: '1' },
    ...options.env,
  }
  const base = `http://127.0.0.1:${port}`
  const lines: string[] = []
  let child: RunningProcess | null = null
  const running = () => {
    if (child === null) throw new Error(`${name} was never started`)
    return child
  }

  const ask = async (path: string, body: unknown, signal?: AbortSignal) => {
    const response = await fetch(`${base}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    })
    const text = await response.text()
    if (response.status !== 200)
      throw new Error(`${name} answered ${response.status} to ${path}: ${text.slice(0, 500)}`)
    const answer: unknown = JSON.parse(text)
    return answer
  }

  return {
    ...{ name, dir, stateDir, workspaceDir },
    get pid() {
      return running().pid
    },
    log: () => lines.join('\n'),
    async start() {
      child = startProcess({
        ...{ name, file: pathToFileURL(openclaw.command), args: ['gateway', 'run'] },
        ...{ cwd: workspaceDir, env, foreign: true, onLine: (line: string) => lines.push(line) },
        logFile: at(`gateway.${Date.now()}.log`),
      })
      await untilReady(running(), `${base}/readyz`)
    },
    async kill() {
      process.kill(running().pid, 'SIGKILL')
      return running().ended
    },
    stop: () => running().stop(STOP_MS),
    async end() {
      await child?.stop(STOP_MS)
    },
    async command(...args) {
      const { stdout } = await promisify(execFile)(process.execPath, [openclaw.command, ...args], {
        ...{ cwd: workspaceDir, env: { ...process.env, ...env } },
        maxBuffer: 64 * 1024 * 1024,
      })
      return stdout
    },
    async turn(prompt, { signal, user } = {}) {
      const messages = [{ role: 'user', content: prompt }]
      const asked = { model: 'openclaw', messages, ...(user === undefined ? {} : { user }) }
      const answer = await ask('/v1/chat/completions', asked, signal)
      const choices = isRecord(answer) && Array.isArray(answer.choices) ? answer.choices : []
      const [first]: unknown[] = choices
      const message = isRecord(first) && isRecord(first.message) ? first.message : {}
      return String(message.content)
    },
    invoke: (tool, args) => ask('/tools/invoke', { tool, args }),
    async edit(change) {
      const config: unknown = JSON.parse(await readFile(configFile, 'utf8'))
      await write(change(isRecord(config) ? { ...config } : {}))
    },
    async ready() {
      const response = await fetch(`${base}/readyz`)
      return { status: response.status, body: await response.text() }
    },
    async residentBytes() {
      const status = await readFile(`/proc/${running().pid}/status`, 'utf8')
      return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
    },
  }
}

async function untilReady(child: RunningProcess, url: string): Promise<void> {
  const asking = new AbortController()
  const tooEarly = child.ended.then(({ code, signal }) => {
    const how = signal ?? `exit code ${code}`
    throw new Error(`${child.name} ended with ${how}:\n${child.lastLines().join('\n')}`)
  })
  // once it is ready, its end is for the test that waits for it
  tooEarly.catch(() => {})
  const ready = waitUntilReady(url, { withinMs: READY_MS, signal: asking.signal })
  ready.catch(() => {})
  await Promise.race([ready, tooEarly]).finally(() => asking.abort())
}

function baseConfig(options: OpenClawOptions & { port: number; workspaceDir: string }) {
  const { port, modelUrl, plugin, workspaceDir } = options
  const auth = { mode: 'token', token: TOKEN }
  const http = { endpoints: { chatCompletions: { enabled: true } } }
  const model = {
    ...{ id: 'mock', name: 'mock', reasoning: false, input: ['text'], contextWindow: 128_000 },
    ...{ maxTokens: 8_192, cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 } },
  }
  const mock = { baseUrl: modelUrl, apiKey: 'none', api: 'openai-completions', models: [model] }
  return {
    gateway: { mode: 'local', port, bind: 'loopback', auth, http },
    plugins: { allow: ['clawmesh'], slots: { memory: 'none' }, entries: { clawmesh: plugin } },
    tools: { toolSearch: false, exec: { security: 'full', ask: 'off' } },
    telemetry: { enabled: false },
    update: { checkOnStart: false },
    models: { mode: 'replace', providers: { mock } },
    agents: { defaults: { model: { primary: 'mock/mock' }, workspace: workspaceDir } },
  }
}

function merge(
  base: Readonly<Record<string, unknown>>,
  more: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(more)) {
    const before = merged[key]
    merged[key] = isRecord(before) && isRecord(value) ? merge(before, value) : value
  }
  return merged
}
