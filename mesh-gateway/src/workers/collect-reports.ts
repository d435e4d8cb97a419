/** Asks all workers and merges their answers: readiness, the status page, the metrics. */
import type { Missing, StatusRow } from '../admin/status-page.ts'
import type { SampledMetric } from '../telemetry/metrics-format.ts'
import { timeInWords } from '../text/time-span.ts'
import type { KeptWorker } from './keep-workers.ts'
import type { Report } from './messages.ts'
import type { WorkerState } from './supervisor-metrics.ts'

export interface WorkerReports {
  readonly workers: readonly WorkerReport[]
  readonly counts: Readonly<Record<WorkerState, number>>
  /** By process; null for one that did not answer. */
  readonly metrics: ReadonlyMap<object, readonly SampledMetric[] | null>
  /** The gateway's names; null when no worker answers. */
  readonly names: readonly string[] | null
}

interface WorkerReport {
  readonly index: number
  readonly pid: number | null
  readonly state: WorkerState
  readonly report: Report | null
}

/** How long a worker may take to answer, in milliseconds. */
const ANSWER_MS = 1_000

export async function collectReports(
  kept: readonly KeptWorker[],
  withinMs = ANSWER_MS,
): Promise<WorkerReports> {
  const counts = { ready: 0, starting: 0, waiting: 0, silent: 0 }
  const metrics = new Map<object, readonly SampledMetric[] | null>()
  const workers = await Promise.all(
    kept.map(async ({ index, state, link }): Promise<WorkerReport> => {
      const pid = link?.pid ?? null
      if (link === null || state !== 'ready') return { index, pid, state, report: null }
      const report = await link.report(withinMs)
      metrics.set(link, report?.metrics ?? null)
      return { index, pid, state: report === null ? 'silent' : 'ready', report }
    }),
  )
  for (const { state } of workers) counts[state] += 1
  const names = workers.find(({ report }) => report !== null)?.report?.names ?? null
  return { workers, counts, metrics, names }
}

/** Missing workers are no fault of the running ones; each fault appears once, however many workers report it. */
export function missingOf({ workers }: WorkerReports): Missing[] {
  if (!workers.some(({ state }) => state === 'ready'))
    return [{ what: 'workers', reason: 'no worker is ready' }]
  return eachOnce(workers.flatMap(({ report }) => report?.missing ?? []))
}

export function degradedOf({ workers }: WorkerReports): Missing[] {
  return eachOnce(workers.flatMap(({ report }) => report?.degraded ?? []))
}

function eachOnce(found: readonly Missing[]): Missing[] {
  return [...new Map(found.map((one) => [`${one.what}: ${one.reason}`, one])).values()]
}

export function describeWorkers({ workers, counts }: WorkerReports): readonly StatusRow[] {
  const rows = workers.find(({ report }) => report !== null)?.report?.status ?? []
  const since = timeInWords(new Date(Date.now() - process.uptime() * 1000))
  return [
    { name: 'workers', value: `${counts.ready} of ${workers.length} ready` },
    ...workers.map(({ index, pid, state }) => ({
      name: `worker ${index}`,
      value: `${STATES[state]}${pid === null ? '' : `, process ${pid}`}`,
    })),
    ...rows.map((row) => (row.name === 'running since' ? { ...row, value: since } : row)),
  ]
}

const STATES: Readonly<Record<WorkerState, string>> = {
  ready: 'ready',
  starting: 'starting',
  waiting: 'ended, waits to be started again',
  silent: 'does not answer',
}
