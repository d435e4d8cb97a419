/**
 * Keeps the last good one of something that lives in files. Reads it whole, proves it, swaps it as one value; when any
 * step fails the old value stays, one warning is logged and a gauge moves. Changes are seen by watching the directory
 * and, as the guarantee, by polling.
 */
import type { Log } from '@clawmesh/agent-sdk'
import { watch } from 'chokidar'
import type { Metrics, Reloadable as ReloadableName } from '../telemetry/metrics-port.ts'

/** What was found on disk, not parsed yet. */
export interface Found<T> {
  /** Equal when and only when the content is. */
  readonly digest: string
  /** Throws when the content is not good. */
  parse(): T
}

export interface ReloadableOptions<T> {
  readonly what: ReloadableName
  /** The directory that holds the files. */
  readonly dir: string
  read(): Promise<Found<T>>
  readonly log: Log
  readonly metrics: Pick<Metrics, 'reload'>
  /** Default 10,000 milliseconds. */
  readonly pollMs?: number
  /** Quiet time after a change before it is read, in milliseconds. Default 150. */
  readonly debounceMs?: number
}

export interface Reloadable<T> {
  current(): T
  /** 1 for the first; grows by one with each change taken over. */
  generation(): number
  /** Reads now. True when what is on disk is what is in use. */
  reload(): Promise<boolean>
  /** Called after each swap. Returns what ends it. */
  onChange(listener: (value: T) => void): () => void
  close(): Promise<void>
}

/** @throws what `read` or `parse` throws the first time: there is no last good one yet. */
export async function openReloadable<T>(options: ReloadableOptions<T>): Promise<Reloadable<T>> {
  const { what, log, metrics, pollMs = 10_000, debounceMs = 150 } = options
  const listeners = new Set<(value: T) => void>()
  const first = await options.read()
  let value = first.parse()
  let digest = first.digest
  let generation = 1
  /** What failed last, so that it is said once. */
  let complaint: string | null = null
  let running: Promise<boolean> | null = null
  let again = false
  let closed = false
  metrics.reload(what, true, generation)

  const complain = (key: string, error: unknown) => {
    if (complaint === key) return false
    complaint = key
    metrics.reload(what, false, generation)
    log.warn({ what, err: error, generation }, `${what}: not reloaded, the last good one stays`)
    return false
  }

  const attempt = async (): Promise<boolean> => {
    let found: Found<T>
    try {
      found = await options.read()
    } catch (error) {
      return complain(`unreadable: ${String(error)}`, error)
    }
    if (closed) return false
    if (found.digest === digest) {
      if (complaint !== null) metrics.reload(what, true, generation)
      complaint = null
      return true
    }
    let next: T
    try {
      next = found.parse()
    } catch (error) {
      return complain(found.digest, error)
    }
    value = next
    digest = found.digest
    generation += 1
    complaint = null
    metrics.reload(what, true, generation)
    log.info({ what, generation }, `${what}: reloaded`)
    for (const listener of listeners) listener(value)
    return true
  }

  /** Single-flight; a change that comes during a read causes one more. */
  const reload = (): Promise<boolean> => {
    if (running !== null) {
      again = true
      return running
    }
    const run = async () => {
      let ok = await attempt()
      while (again && !closed) {
        again = false
        ok = await attempt()
      }
      return ok
    }
    running = run().finally(() => {
      running = null
      again = false
    })
    return running
  }

  let debounce: NodeJS.Timeout | null = null
  const watcher = watch(options.dir, { depth: 0, followSymlinks: false, ignoreInitial: true })
  watcher.on('all', () => {
    if (debounce !== null) clearTimeout(debounce)
    debounce = setTimeout(() => void reload(), debounceMs)
  })
  // polling goes on whatever happens to the watcher
  watcher.on('error', (error) =>
    log.debug({ what, err: error }, 'watching failed; polling goes on'),
  )
  const poll = setInterval(() => void reload(), pollMs)
  poll.unref()

  return {
    current: () => value,
    generation: () => generation,
    reload,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async close() {
      closed = true
      clearInterval(poll)
      if (debounce !== null) clearTimeout(debounce)
      listeners.clear()
      await watcher.close()
      await running
    },
  }
}
