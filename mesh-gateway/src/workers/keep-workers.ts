/**
 * Keeps so many workers running. One that ends is started again, soon at first and ever later while it keeps ending;
 * each end is one line in the log. What keeps the first start from working is thrown, once, and nothing is left running.
 */
import type { Log } from '@clawmesh/agent-sdk/mesh'
import { isErrorCode, MeshError } from '@clawmesh/proto'
import type { Failed, FromWorker, Ready } from './messages.ts'
import type { Ended, WorkerLink } from './worker-link.ts'

export interface KeptWorker {
  /** Counts from 1. */
  readonly index: number
  readonly state: 'starting' | 'ready' | 'waiting'
  /** Null while it waits to be started again. */
  readonly link: WorkerLink | null
  /** Null when it was never ready. */
  readonly ready: Ready | null
}

export interface KeptWorkers {
  all(): readonly KeptWorker[]
  /** No more are started; resolves when all have ended. */
  ended(): Promise<void>
}

export interface WorkerHooks {
  onMessage(message: FromWorker): void
  /** Whether another worker is ready, and has not lost its channel. */
  others(): boolean
}

export interface KeepOptions {
  readonly count: number
  /** Makes the process; called anew for each restart. */
  readonly fork: (index: number, hooks: WorkerHooks) => WorkerLink
  readonly log: Log
  readonly onRestart: () => void
  /** How long the others may take when one is ready, at the first start, in milliseconds. Default 10,000. */
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
/** Who was ready so long has not failed at starting. */
const STEADY_MS = 10_000

/** How long until the next start, after so many ends in a row. In milliseconds. */
export function restartDelay(failures: number): number {
  return Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** failures)
}

/** @throws MeshError of the first worker that could not start */
export async function keepWorkers(options: KeepOptions): Promise<KeptWorkers> {
  const { count, fork, log, onRestart, othersMs = 10_000 } = options
  const started = Promise.withResolvers<void>()
  let starting = true
  let closing = false
  let others: NodeJS.Timeout | null = null
  const slots = Array.from(
    { length: count },
    (_, i): Slot => ({
      index: i + 1,
      state: 'waiting',
      link: null,
      ready: null,
      readyAt: 0,
      failed: null,
      failures: 0,
      again: null,
    }),
  )

  function run(slot: Slot): void {
    slot.again = null
    slot.state = 'starting'
    slot.failed = null
    let link: WorkerLink
    try {
      link = fork(slot.index, {
        onMessage: (message) => hear(slot, message),
        // node:cluster forgets a worker with its channel, before its end is told; what then goes round to nobody, nobody closes
        others: () => slots.some((one) => one !== slot && isThere(one)),
      })
    } catch (error) {
      // no process, no descriptors: as one that has ended at once
      slot.failed = { kind: 'failed', code: null, message: String(error), hint: '' }
      over(slot, 0, { code: 1, signal: null })
      return
    }
    slot.link = link
    void link.ended.then((ended) => over(slot, link.pid, ended))
  }

  function hear(slot: Slot, message: FromWorker): void {
    if (message.kind === 'failed') slot.failed = message
    if (message.kind !== 'ready') return
    slot.state = 'ready'
    slot.ready = message
    slot.readyAt = performance.now()
    if (!starting) log.info({ worker: slot.index, pid: slot.link?.pid }, 'a worker is ready')
    else if (slots.every((one) => one.state === 'ready')) started.resolve()
    // one that hangs keeps nobody from the others
    else others ??= setTimeout(() => started.resolve(), othersMs)
  }

  function over(slot: Slot, pid: number, { code, signal }: Ended): void {
    const wasReady = slot.state === 'ready'
    slot.link = null
    slot.state = 'waiting'
    if (closing) return
    if (starting && (slot.failed !== null || code !== null)) {
      started.reject(faultOf(slot.failed ?? { code: null, message: '', hint: '' }))
      return
    }
    if (wasReady && performance.now() - slot.readyAt >= STEADY_MS) slot.failures = 0
    const againMs = restartDelay(slot.failures)
    slot.failures += 1
    slot.again = setTimeout(() => run(slot), againMs)
    onRestart()
    const why = slot.failed === null ? {} : { err: faultOf(slot.failed) }
    log.warn(
      { worker: slot.index, pid, code, signal, againMs, ...why },
      'a worker ended; another takes its place',
    )
  }

  async function ended(): Promise<void> {
    closing = true
    for (const { again } of slots) if (again !== null) clearTimeout(again)
    await Promise.all(slots.map(({ link }) => link?.ended))
  }

  for (const slot of slots) run(slot)
  try {
    await started.promise
  } catch (error) {
    closing = true
    for (const { link } of slots) link?.kill()
    await ended()
    throw error
  } finally {
    if (others !== null) clearTimeout(others)
    starting = false
  }
  return { all: () => slots, ended }
}

function isThere({ state, link }: Slot): boolean {
  return state === 'ready' && link?.connected() === true
}

/** As it was thrown in the worker. */
function faultOf({ code, message, hint }: Pick<Failed, 'code' | 'message' | 'hint'>): Error {
  if (code !== null && isErrorCode(code)) return new MeshError(code, message, { hint })
  const error = new Error('a worker ended before it was ready')
  if (message !== '') error.stack = message
  return error
}
