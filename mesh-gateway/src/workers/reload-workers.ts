/** Has all workers read everything anew, and waits for each. */
import type { KeptWorker } from './keep-workers.ts'

/** What one worker could not read anew; its last good version is in force there. */
export interface WorkerFault {
  /** Counts from 1. */
  readonly worker: number
  readonly what: string
  readonly reason: string
}

/** How long a worker may take, in milliseconds: less than systemd waits for a reload (TimeoutStartSec). */
const RELOAD_MS = 30_000

/** A worker that is about to be started again reads everything then. */
export async function reloadWorkers(
  running: readonly KeptWorker[],
  withinMs = RELOAD_MS,
): Promise<readonly WorkerFault[]> {
  const faults = await Promise.all(
    running.map(async ({ index: worker, link }): Promise<readonly WorkerFault[]> => {
      if (link === null) return []
      const told = await link.reload(withinMs)
      if (told !== null) return told.map((fault) => ({ worker, ...fault }))
      const reason = link.connected()
        ? `it has not read everything anew within ${withinMs / 1_000} s`
        : 'it ended meanwhile; the one in its place reads everything'
      return [{ worker, what: 'worker', reason }]
    }),
  )
  return faults.flat()
}
