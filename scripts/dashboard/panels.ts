/** Panels of the dashboard: what they have in common, so that a row is a list of titles and queries. */
import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog'
import {
  BigValueColorMode,
  BigValueGraphMode,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  StackingConfigBuilder,
  StackingMode,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common'
import {
  type Panel,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus'
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat'
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries'

/** The data source that a variable of the dashboard chooses. */
export const SOURCE = Object.freeze({ type: 'prometheus', uid: '$datasource' })
/** Selects gateways in a query: by job, and by the instances that a variable chooses. */
export const GATEWAYS = 'job=~"$job", instance=~"$instance"'

export interface Query {
  readonly expr: string
  /** A template of Grafana: `{{plane}}`. */
  readonly legend: string
  /** Shows exemplars, which lead to traces. Default false. */
  readonly exemplars?: boolean
}

export interface Graph {
  readonly title: string
  readonly description?: string
  readonly queries: readonly Query[]
  /** Default `short`. */
  readonly unit?: string
  /** Default false. */
  readonly stacked?: boolean
}

export interface Figure {
  readonly title: string
  readonly description?: string
  readonly query: string
  readonly unit?: string
  /** From this value on it is red. Default: never. */
  readonly redFrom?: number
  /** Below this value it is red. Default: never. */
  readonly redBelow?: number
}

/** A graph over time, two in a line. */
export function graph(options: Graph): Builder<Panel> {
  const { title, description, queries, unit = 'short', stacked = false } = options
  const panel = new TimeseriesBuilder()
    .title(title)
    .datasource(SOURCE)
    .span(12)
    .height(8)
    .unit(unit)
    .min(0)
    .lineWidth(1)
    .fillOpacity(stacked ? 25 : 8)
    .showPoints(VisibilityMode.Never)
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom)
        .showLegend(true),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi))
    .targets(queries.map(target))
  if (description !== undefined) panel.description(description)
  if (stacked) panel.stacking(new StackingConfigBuilder().mode(StackingMode.Normal))
  return panel
}

/** One number, eight in a line. */
export function figure(options: Figure): Builder<Panel> {
  const { title, description, query, unit = 'short', redFrom, redBelow } = options
  const steps =
    redBelow === undefined
      ? [
          { value: null, color: 'green' },
          ...(redFrom === undefined ? [] : [{ value: redFrom, color: 'red' }]),
        ]
      : [
          { value: null, color: 'red' },
          { value: redBelow, color: 'green' },
        ]
  const panel = new StatBuilder()
    .title(title)
    .datasource(SOURCE)
    .span(3)
    .height(4)
    .unit(unit)
    .colorMode(BigValueColorMode.Value)
    .graphMode(BigValueGraphMode.Area)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .thresholds(new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(steps))
    .targets([target({ expr: query, legend: title }, 0)])
  if (description !== undefined) panel.description(description)
  return panel
}

/** `rate`, `sum by` and quantile of a histogram, as most graphs of times have it. */
export function quantile(q: number, histogram: string, by: string, selector: string): string {
  const labels = by === '' ? 'le' : `le, ${by}`
  return `histogram_quantile(${q}, sum by (${labels}) (rate(${histogram}_bucket{${selector}}[$__rate_interval])))`
}

function target({ expr, legend, exemplars = false }: Query, index: number): Builder<Dataquery> {
  const query = new DataqueryBuilder()
    .refId(String.fromCharCode(65 + index))
    .datasource(SOURCE)
    .expr(expr)
    .legendFormat(legend)
    .range()
  return exemplars ? query.exemplar(true) : query
}
