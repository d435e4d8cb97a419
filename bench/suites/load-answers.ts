/** What load generators and backends answer. */
import { z } from 'zod'
import type { Window } from '../measure/load-window.ts'
import type { CalmWindow } from './calm-windows.ts'
import { type Metric, mapFigures, metric } from './suite.ts'

/** NaN travels as null. */
const figure = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN)

export const windowAnswer = z.object({
  completed: z.number(),
  failed: z.number(),
  wallMs: z.number(),
  cpuMs: z.number(),
  p50Ms: figure,
  p99Ms: figure,
})
export const connectedAnswer = z.object({ connected: z.literal(true) })
export const mintedAnswer = z.object({ minted: z.int() })
export const heldAnswer = z.object({ held: z.int() })
export const endingsAnswer = z.object({
  endings: z.array(z.object({ atMs: z.number(), status: z.number().nullable() })),
})
export const disconnectedAnswer = z.object({ connected: z.literal(false) })
export const portAnswer = z.object({ port: z.int() })

export type Windows = Readonly<Record<string, readonly Window[]>>

/** CPU time in microseconds per operation, or per `parts` of one. */
export function cpuMicrosecondsPer(windows: Windows, parts = 1): Record<string, number[]> {
  return mapFigures(windows, ({ cpuMs, completed }) =>
    completed === 0 ? Number.NaN : (cpuMs * 1000) / (completed * parts),
  )
}

/** How much of the core that each is pinned to was its own, and how much others had. */
export function coreMetrics(windows: Readonly<Record<string, readonly CalmWindow[]>>): Metric[] {
  const busy = mapFigures(windows, ({ cpuMs, wallMs }) => (100 * cpuMs) / wallMs)
  const withOthers = mapFigures(windows, ({ others }) => 100 * others)
  return [
    metric('of its core in use meanwhile', '%', busy, { compared: false }),
    metric('of its core with others', '%', withOthers, { compared: false }),
  ]
}

export function perSecond(windows: Windows): Record<string, number[]> {
  return mapFigures(windows, ({ completed, wallMs }) => (completed * 1000) / wallMs)
}

export function failures(what: string, windows: Windows): string[] {
  return Object.entries(windows).flatMap(([name, all]) => {
    const failed = all.reduce((sum, one) => sum + one.failed, 0)
    return failed === 0 ? [] : [`${what}: ${failed} failed through ${name}`]
  })
}
