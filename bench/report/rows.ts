/** Figures to rows of text: median, spread, how many times another's, and whether a target is met. */
import { GATEWAY } from '../contestants/contestant.ts'
import { pairedRatio, type Summary, summarize } from '../measure/statistics.ts'
import type { Metric } from '../suites/suite.ts'

export interface Row {
  readonly metric: string
  readonly contestant: string
  readonly median: string
  readonly spread: string
  /** Ours divided by this one's, with the quartiles of that over rounds. Empty for ours. */
  readonly ratio: string
  /** Empty without a target. */
  readonly target: string
}

export const HEADINGS: Row = Object.freeze({
  metric: 'metric',
  contestant: 'through',
  median: 'median',
  spread: 'quartiles',
  ratio: 'ours ÷ this',
  target: 'target',
})

/** @param judge false for a quick run, whose figures mean nothing */
export function rowsOf(metric: Metric, judge: boolean): Row[] {
  const ours = metric.figures[GATEWAY] ?? []
  return Object.entries(metric.figures).map(([contestant, figures], index) => {
    const { median, lower, upper } = summarize(figures.filter((figure) => !Number.isNaN(figure)))
    const isOurs = contestant === GATEWAY
    const ratio = pairedRatio(isOurs || metric.compared === false ? [] : ours, figures)
    return {
      metric: index === 0 ? metric.name : '',
      contestant,
      median: `${show(median)} ${metric.unit}`,
      spread: `${show(lower)} – ${show(upper)}`,
      ratio: showRatio(ratio),
      target: judge ? verdict(metric, contestant, isOurs ? median : ratio.median) : '',
    }
  })
}

/** One digit behind the point below a hundred, two below ten. */
export function show(value: number): string {
  if (!Number.isFinite(value)) return '–'
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)
}

/** Quartiles only where there are rounds enough to have some. */
function showRatio({ median, lower, upper, count }: Summary): string {
  if (count === 0) return ''
  const spread = count < 3 ? '' : ` (${lower.toFixed(2)} – ${upper.toFixed(2)})`
  return `${median.toFixed(2)}${spread}`
}

function verdict(metric: Metric, contestant: string, value: number): string {
  const isOurs = contestant === GATEWAY
  const atMost = isOurs
    ? metric.limit
    : metric.targets.find(({ against }) => against === contestant)?.atMost
  if (atMost === undefined || atMost === null) return ''
  if (Number.isNaN(value)) return `≤ ${atMost}: not measured`
  return `≤ ${atMost}: ${value <= atMost ? 'met' : 'missed'}`
}
