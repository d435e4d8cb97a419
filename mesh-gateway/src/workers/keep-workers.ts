/**
 * Keeps a number of workers running. Restarts one that ends, soon at first and with growing delays while it keeps
 * ending; each end is one line in the log. The fault that stops the first start is thrown, once, and nothing is left
 * running.
 */
import type { Log } from '@clawmesh/agent-sdk/mesh'
import { fromFault } from './faults.ts'
import type { Failed, FromWorker, Ready } from './messages.ts'
import type { Ended, WorkerLink } from './worker-link.ts'

export interface KeptWorker {
  /** Counts from 1. */
  readonly index: number
  readonly state: 'starting' | 'ready' | 'waiting'
  /** Null while it waits for its restart. */
  readonly link: WorkerLink | null
  /** Null when it was never ready. */
  readonly ready: Ready | null
}

export interface KeptWorkers {
  all(): readonly KeptWorker[]
  /** Starts no more; resolves when all have ended. */
  ended(): Promise<void>
}

export interface WorkerHooks {
  onMessage(message: FromWorker): void
  /** True when another worker is ready and connected. */
  others(): boolean
}

export interface KeepOptions {
  readonly count: number
  /** Starts the process; called for each restart. */
  readonly fork: (index: number, hooks: WorkerHooks) => WorkerLink
  readonly log: Log
  readonly onRestart: () => void
  /** How long the others may take after the first is ready, at the first start, in milliseconds. Default 10,000. */
  readonly othersMs?: number
}

interface Slot {
  readonly index: number
  state: KeptWorker['state']
  link: WorkerLink | null
  ready: Ready | null
  readyAt: number
  failed: Failed | null
  failures: number
  again: NodeJS.Timeout | null
}

const FIRST_DELAY_MS = 100
const MAX_DELAY_MS = 10_000
/** A worker that was ready for this long did not fail at its start. */
const STEADY_MS = 10_000

/** The delay before the next start, after this many ends in a row. In milliseconds. */
export function restartDelay(failures: number): number {
  return Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** failures)
}

/** @throws MeshError of the first worker that could not start */
export async function keepWorkers(options: KeepOptions): Promise<KeptWorkers> {
  const keeper = new Keeper(options)
  await keeper.start()
  return keeper
}

class Keeper implements KeptWorkers {
  readonly #options: KeepOptions
  readonly #slots: readonly Slot[]
  readonly #started = Promise.withResolvers<void>()
  #starting = true
  #closing = false
  #others: NodeJS.Timeout | null = null

  constructor(options: KeepOptions) {
    this.#options = options
    this.#slots = Array.from({ length: options.count }, (_, i) => emptySlot(i + 1))
  }

  async start(): Promise<void> {
    for (const slot of this.#slots) this.#run(slot)
    try {
      await this.#started.promise
    } catch (error) {
      this.#closing = true
      for (const { link } of this.#slots) link?.kill()
      await this.ended()
      throw error
    } finally {
      if (this.#others !== null) clearTimeout(this.#others)
      this.#starting = false
    }
  }

  all(): readonly KeptWorker[] {
    return this.#slots
  }

  async ended(): Promise<void> {
    this.#closing = true
    for (const { again } of this.#slots) if (again !== null) clearTimeout(again)
    await Promise.all(this.#slots.map(({ link }) => link?.ended))
  }

  #run(slot: Slot): void {
    slot.again = null
    slot.state = 'starting'
    slot.failed = null
    let link: WorkerLink
    try {
      link = this.#options.fork(slot.index, {
        onMessage: (message) => this.#hear(slot, message),
        // node:cluster drops a worker when its channel closes, before its end is reported; connections handed out
        // without a worker would never be closed
        others: () => this.#slots.some((one) => one !== slot && isThere(one)),
      })
    } catch (error) {
      // no process or no descriptors: counts as an immediate end
      slot.failed = { kind: 'failed', code: null, message: String(error), hint: '' }
      this.#over(slot, 0, { code: 1, signal: null })
      return
    }
    slot.link = link
    void link.ended.then((ended) => this.#over(slot, link.pid, ended))
  }

  #hear(slot: Slot, message: FromWorker): void {
    if (message.kind === 'failed') slot.failed = message
    if (message.kind !== 'ready') return
    slot.state = 'ready'
    slot.ready = message
    slot.readyAt = performance.now()
    const { log, othersMs = 10_000 } = this.#options
    const { resolve } = this.#started
    if (!this.#starting) log.info({ worker: slot.index, pid: slot.link?.pid }, 'a worker is ready')
    else if (this.#slots.every((one) => one.state === 'ready')) resolve()
    // a worker that hangs does not delay the others
    else this.#others ??= setTimeout(() => resolve(), othersMs)
  }

  #over(slot: Slot, pid: number, { code, signal }: Ended): void {
    const wasReady = slot.state === 'ready'
    slot.link = null
    slot.state = 'waiting'
    if (this.#closing) return
    if (this.#starting && (slot.failed !== null || code !== null)) {
      this.#started.reject(faultOf(slot.failed))
      return
    }
    if (wasReady && performance.now() - slot.readyAt >= STEADY_MS) slot.failures = 0
    const againMs = restartDelay(slot.failures)
    slot.failures += 1
    slot.again = setTimeout(() => this.#run(slot), againMs)
    this.#options.onRestart()
    const why = slot.failed === null ? {} : { err: faultOf(slot.failed) }
    this.#options.log.warn(
      { worker: slot.index, pid, code, signal, againMs, ...why },
      'a worker ended; another takes its place',
    )
  }
}

function emptySlot(index: number): Slot {
  return {
    index,
    state: 'waiting',
    link: null,
    ready: null,
    readyAt: 0,
    failed: null,
    failures: 0,
    again: null,
  }
}

function isThere({ state, link }: Slot): boolean {
  return state === 'ready' && link?.connected() === true
}

function faultOf(failed: Failed | null): Error {
  const fault = failed ?? { code: null, message: '', hint: '' }
  return fromFault(fault, 'a worker ended before it was ready')
}
