/**
 * Keeps a relay running beside a host, as a process of its own: it outlives reloads of what started it, is started again when it
 * dies, and ends with the host, however that ends, since its stdin ends then.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Log } from '@clawmesh/agent-sdk'
import type { RelayEvent, RelayOptions } from './run-relay.ts'

export interface KeepRelayOptions
  extends Pick<RelayOptions, 'identity' | 'gateway' | 'egress' | 'listen' | 'secretFile'> {
  /** The program that runs `mesh-agent relay`, with what comes before its options. */
  readonly command: readonly [file: string, ...args: string[]]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly log: Log
}

export interface KeptRelay {
  /** What the relay said last; null while it has said nothing, or has died. */
  readonly state: RelayEvent | null
  /** Resolves when one serves for the first time, this one or another that it found. */
  readonly serving: Promise<RelayEvent>
  /** Lets it drain and end. Resolves when the process has ended. */
  close(): Promise<void>
}

const FIRST_WAIT_MS = 250
const LONGEST_WAIT_MS = 30_000
/** One that served for so long was fine: the next one begins without waiting. */
const FINE_MS = 60_000
/** What a program needs. The rest of a host's environment, such as its proxy settings and NODE_OPTIONS, is not for the relay. */
const KEPT_NAMES = ['PATH', 'HOME', 'TMPDIR', 'XDG_STATE_HOME', 'LANG', 'SystemRoot']
const MAX_LINE = 2_000

export function keepRelay(options: KeepRelayOptions): KeptRelay {
  const kept = new Keeper(options)
  kept.start()
  return kept
}

class Keeper implements KeptRelay {
  readonly #options: KeepRelayOptions
  readonly #serving = Promise.withResolvers<RelayEvent>()
  #child: ChildProcess | null = null
  #timer: NodeJS.Timeout | null = null
  #waitMs = FIRST_WAIT_MS
  #closed = false
  #said = ''
  state: RelayEvent | null = null

  constructor(options: KeepRelayOptions) {
    this.#options = options
  }

  get serving(): Promise<RelayEvent> {
    return this.#serving.promise
  }

  start(): void {
    const startedMs = performance.now()
    let over = false
    const ended = (how: string) => {
      if (over) return
      over = true
      this.#onEnded(how, performance.now() - startedMs)
    }
    try {
      this.#listen(this.#spawn(), ended)
    } catch (error) {
      // of arguments that no process can have
      ended(error instanceof Error ? error.message : String(error))
    }
  }

  #spawn(): ChildProcess {
    const { command, identity, gateway, egress, listen, secretFile } = this.#options
    const [file, ...before] = command
    const flags = { identity, gateway, egress, listen, 'secret-file': secretFile }
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value])
    // of a process group of its own: a Ctrl-C for the host is not for the relay, which drains after it
    return spawn(file, [...before, ...args, '--until-stdin-ends', '--json'], {
      stdio: 'pipe',
      detached: true,
      env: Object.fromEntries(KEPT_NAMES.map((name) => [name, this.#options.env[name]])),
    })
  }

  #listen(child: ChildProcess, ended: (how: string) => void): void {
    this.#child = child
    child.once('error', (error) => ended(error.message))
    child.once('close', (code, signal) => ended(signal ?? `exit code ${code}`))
    // where no file can be opened there are no pipes
    const { stdin, stdout, stderr } = child
    stdin?.on('error', () => {})
    if (stdout) createInterface(stdout).on('line', (line) => this.#onLine(line))
    if (stderr)
      createInterface(stderr).on('line', (line) => {
        this.#said = line.slice(0, MAX_LINE)
        this.#options.log.warn({}, `relay: ${this.#said}`)
      })
    // neither it nor its pipes keep the host running
    child.unref()
    for (const pipe of [stdin, stdout, stderr])
      if (pipe && 'unref' in pipe && typeof pipe.unref === 'function') pipe.unref()
  }

  close(): Promise<void> {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    const child = this.#child
    if (child === null) return Promise.resolve()
    child.ref()
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
    child.stdin?.end()
    return closed
  }

  #onLine(line: string): void {
    const event = eventIn(line)
    if (event === null) return
    this.state = event
    this.#options.log.info({ ...event }, `relay: ${event.event}`)
    this.#serving.resolve(event)
  }

  #onEnded(how: string, servedMs: number): void {
    this.#child = null
    this.state = null
    if (this.#closed) return
    if (servedMs > FINE_MS) this.#waitMs = FIRST_WAIT_MS
    const waitMs = this.#waitMs
    this.#waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)
    this.#options.log.warn({ waitMs }, `the relay has ended (${how}); it is started again`)
    this.#timer = setTimeout(() => this.start(), waitMs).unref()
  }
}

const EVENTS: readonly RelayEvent['event'][] = ['listening', 'running', 'standing-by']

function eventIn(line: string): RelayEvent | null {
  let given: unknown
  try {
    given = JSON.parse(line)
  } catch {
    // whatever else it prints is no event
    return null
  }
  const text = (name: string) => String(Reflect.get(Object(given), name) ?? '')
  const event = EVENTS.find((known) => known === text('event'))
  if (event === undefined) return null
  return {
    event,
    listen: text('listen'),
    agent: text('agent'),
    pid: Number(Reflect.get(Object(given), 'pid')),
    secretFile: text('secretFile'),
  }
}
