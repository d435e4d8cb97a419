/** What a dashboard asks Prometheus for: its queries, and the metrics and labels in each. */
import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard'

export interface DashboardQuery {
  /** The title of its panel. */
  readonly panel: string
  readonly expr: string
  /** A template: `{{plane}}`. */
  readonly legend: string
  readonly exemplar: boolean
}

export interface AskedMetric {
  readonly name: string
  /** Of its selector. */
  readonly labels: readonly string[]
}

export function queriesOf({ panels = [] }: Dashboard): DashboardQuery[] {
  return panels.flatMap((panel) => {
    if (!('targets' in panel)) return []
    return (panel.targets ?? []).flatMap((target) =>
      'expr' in target && typeof target.expr === 'string'
        ? [
            {
              panel: panel.title ?? '',
              expr: target.expr,
              legend: 'legendFormat' in target ? String(target.legendFormat) : '',
              exemplar: 'exemplar' in target && target.exemplar === true,
            },
          ]
        : [],
    )
  })
}

/** Ours have an underscore in their names, and no function of PromQL that has one is without its bracket. */
export function metricsIn(expr: string): AskedMetric[] {
  const names =
    /"(?:[^"\\]|\\.)*"|\bby \([^)]*\)|\b([a-z]\w*_\w+)\b(?!\s*\()(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?/g
  return [...expr.matchAll(names)].flatMap(([, name, selector = '']) => {
    if (name === undefined || name === 'bool') return []
    const labels = selector.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""')
    return [{ name, labels: [...labels.matchAll(/(\w+)\s*[=!]/g)].map(([, label = '']) => label) }]
  })
}
