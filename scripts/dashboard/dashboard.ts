/** The dashboard for Grafana as an object: gateways, both planes, and OpenClaw beside them. */
import {
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { GATEWAY_ROWS } from './gateway-rows.ts'
import { OPENCLAW_ROW } from './openclaw-row.ts'
import { SOURCE } from './panels.ts'

export const DASHBOARD_FILE = 'deploy/grafana/clawmesh.json'

export function makeDashboard(): Dashboard {
  const dashboard = new DashboardBuilder('Clawmesh')
    .uid('clawmesh')
    .description('Gateways of a mesh of agents: egress, delegation, and OpenClaw beside them')
    .tags(['clawmesh'])
    .time({ from: 'now-1h', to: 'now' })
    .refresh('30s')
    .tooltip(DashboardCursorSync.Crosshair)
    .withVariable(
      new DatasourceVariableBuilder('datasource').label('data source').type('prometheus'),
    )
    .withVariable(variable('job', 'gateways', 'label_values(clawmesh_build_info, job)'))
    .withVariable(
      variable('instance', 'gateway', 'label_values(clawmesh_build_info{job=~"$job"}, instance)'),
    )
    .withVariable(
      variable('openclaw', 'OpenClaw', 'label_values(openclaw_gateway_build_info, job)'),
    )
  for (const { title, panels } of [...GATEWAY_ROWS, OPENCLAW_ROW]) {
    dashboard.withRow(new RowBuilder(title))
    for (const panel of panels) dashboard.withPanel(panel)
  }
  return withIds(dashboard.build())
}

/** Several of its values can be chosen, or all. */
function variable(name: string, label: string, query: string): QueryVariableBuilder {
  return new QueryVariableBuilder(name)
    .label(label)
    .datasource(SOURCE)
    .query({ query, refId: name })
    .definition(query)
    .multi(true)
    .includeAll(true)
    .allValue('.+')
    .current({ selected: true, text: 'All', value: '$__all' })
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc)
}

/** Links to a panel name its id: the builders give none but to rows, and those all 0. */
function withIds(dashboard: Dashboard): Dashboard {
  const panels = dashboard.panels?.map((panel, index) => ({ ...panel, id: index + 1 }))
  return panels === undefined ? dashboard : { ...dashboard, panels }
}
