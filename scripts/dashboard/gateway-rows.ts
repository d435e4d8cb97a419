/** What a gateway tells of itself: both planes, what it follows on disk, its limits, its process. */
import type { Builder } from '@grafana/grafana-foundation-sdk/cog'
import type { Panel } from '@grafana/grafana-foundation-sdk/dashboard'
import { figure, GATEWAYS, graph, quantile } from './panels.ts'

export interface Row {
  readonly title: string
  readonly panels: readonly Builder<Panel>[]
}

const DENIED = `clawmesh_decisions_total{${GATEWAYS}, action="deny"}`
const DURATION = 'clawmesh_request_duration_seconds'
const perSecond = (counter: string, by: string, more = '') =>
  `sum by (${by}) (rate(${counter}{${GATEWAYS}${more}}[$__rate_interval]))`

const glance: Row = {
  title: 'At a glance',
  panels: [
    figure({
      title: 'Gateways',
      description: 'That Prometheus scrapes, with their versions below in "Versions".',
      query: `count(clawmesh_build_info{${GATEWAYS}})`,
      redBelow: 1,
    }),
    figure({
      title: 'Refused in the last minute',
      description: 'As the alert ClawmeshDenials counts them: more than five are red.',
      query: `sum(${DENIED} - min_over_time(${DENIED}[75s]))`,
      redFrom: 6,
    }),
    figure({
      title: 'Requests and calls',
      query: `sum(rate(clawmesh_decisions_total{${GATEWAYS}}[$__rate_interval]))`,
      unit: 'reqps',
    }),
    figure({ title: 'Open', query: `sum(clawmesh_active{${GATEWAYS}})` }),
    figure({
      title: 'Duration, p99',
      query: quantile(0.99, DURATION, '', GATEWAYS),
      unit: 's',
    }),
    figure({
      title: 'Certificate expires in',
      description: 'The earliest one. Less than four hours is red: it is not being renewed.',
      query: `min(clawmesh_certificate_not_after_seconds{${GATEWAYS}}) - time()`,
      unit: 's',
      redBelow: 4 * 3600,
    }),
    figure({
      title: 'Reloads that failed',
      description: 'Things on disk of which the last good version is in force.',
      query: `sum(1 - clawmesh_reload_last_success{${GATEWAYS}})`,
      redFrom: 1,
    }),
    figure({
      title: 'Audit records lost',
      query: `sum(increase(clawmesh_audit_dropped_total{${GATEWAYS}}[$__range]))`,
      redFrom: 1,
    }),
  ],
}

const planes: Row = {
  title: 'Both planes',
  panels: [
    graph({
      title: 'Decisions',
      queries: [
        {
          expr: perSecond('clawmesh_decisions_total', 'plane, action'),
          legend: '{{plane}} {{action}}',
          exemplars: true,
        },
      ],
      unit: 'reqps',
      stacked: true,
    }),
    graph({
      title: 'Refusals by reason',
      description: 'The audit log has agent, destination and rule of each: filter by trace_id.',
      queries: [
        {
          expr: `${perSecond('clawmesh_decisions_total', 'plane, reason', ', action="deny"')} > 0`,
          legend: '{{reason}} ({{plane}})',
          exemplars: true,
        },
      ],
      unit: 'reqps',
      stacked: true,
    }),
    ...(['egress', 'delegation'] as const).map((plane) =>
      graph({
        title: `Duration, ${plane}`,
        description: 'From the first byte of a request or call to its end.',
        queries: [0.5, 0.95, 0.99].map((q) => ({
          expr: quantile(q, DURATION, '', `${GATEWAYS}, plane="${plane}"`),
          legend: `p${q * 100}`,
          exemplars: true,
        })),
        unit: 's',
      }),
    ),
    graph({
      title: 'Open tunnels, requests and streams',
      queries: [{ expr: `sum by (plane) (clawmesh_active{${GATEWAYS}})`, legend: '{{plane}}' }],
    }),
    graph({
      title: 'Token validation',
      description: 'Cached tokens are not verified again.',
      queries: [0.5, 0.99].map((q) => ({
        expr: quantile(q, 'clawmesh_token_validation_seconds', '', GATEWAYS),
        legend: `p${q * 100}`,
      })),
      unit: 's',
    }),
    graph({
      title: 'DNS and connecting, p95',
      queries: [
        {
          expr: quantile(0.95, 'clawmesh_dns_duration_seconds', 'plane', GATEWAYS),
          legend: 'DNS, {{plane}}',
        },
        {
          expr: quantile(0.95, 'clawmesh_dial_duration_seconds', 'plane', GATEWAYS),
          legend: 'connect, {{plane}}',
        },
      ],
      unit: 's',
    }),
    graph({
      title: 'Connections refused, streams cut, stale DNS answers',
      queries: [
        {
          expr: perSecond('clawmesh_connections_refused_total', 'plane, reason'),
          legend: 'refused: {{reason}} ({{plane}})',
        },
        {
          expr: perSecond('clawmesh_streams_cut_total', 'plane, reason'),
          legend: 'cut: {{reason}} ({{plane}})',
        },
        {
          expr: perSecond('clawmesh_dns_stale_total', 'plane'),
          legend: 'stale DNS answer ({{plane}})',
        },
      ],
      unit: 'cps',
    }),
  ],
}

const files: Row = {
  title: 'Certificates, policy, keys',
  panels: [
    graph({
      title: 'Time left',
      queries: [
        {
          expr: `clawmesh_certificate_not_after_seconds{${GATEWAYS}} - time()`,
          legend: 'certificate, {{instance}}',
        },
        {
          expr: `clawmesh_crl_next_update_seconds{${GATEWAYS}} - time()`,
          legend: 'CRL, {{instance}}',
        },
      ],
      unit: 's',
    }),
    graph({
      title: 'The latest reload worked',
      description: '1, or 0 while the last good version is kept.',
      queries: [
        {
          expr: `min by (what) (clawmesh_reload_last_success{${GATEWAYS}})`,
          legend: '{{what}}',
        },
        {
          expr: `1 - max by (file) (clawmesh_policy_file_broken{${GATEWAYS}})`,
          legend: 'policy file {{file}}',
        },
      ],
    }),
    graph({
      title: 'Generations',
      description: 'Grow by one with each change that was taken over, on each gateway.',
      queries: [
        {
          expr: `clawmesh_reload_generation{${GATEWAYS}}`,
          legend: '{{what}}, {{instance}}',
        },
      ],
    }),
    graph({
      title: 'Reloads and fetches of keys',
      queries: [
        {
          expr: perSecond('clawmesh_reloads_total', 'what, result'),
          legend: '{{what}}: {{result}}',
        },
        {
          expr: perSecond('clawmesh_token_issuer_fetches_total', 'issuer, result'),
          legend: '{{issuer}}: {{result}}',
        },
      ],
      unit: 'cps',
    }),
    graph({
      title: 'Issuers of tokens that answer',
      queries: [
        {
          expr: `min by (issuer) (clawmesh_token_issuer_up{${GATEWAYS}})`,
          legend: '{{issuer}}',
        },
      ],
    }),
    graph({
      title: 'Revocations, broken policy files',
      queries: [
        {
          expr: `max by (by) (clawmesh_revocations{${GATEWAYS}})`,
          legend: 'revoked by {{by}}',
        },
        {
          expr: `max(clawmesh_policy_files_broken{${GATEWAYS}})`,
          legend: 'broken policy files',
        },
      ],
    }),
  ],
}

const running: Row = {
  title: 'Process, limits, audit log',
  panels: [
    graph({
      title: 'Event loop lag',
      queries: [
        {
          expr: `max by (instance, quantile) (clawmesh_event_loop_lag_seconds{${GATEWAYS}})`,
          legend: 'p{{quantile}}, {{instance}}',
        },
      ],
      unit: 's',
    }),
    graph({
      title: 'CPU',
      queries: [
        {
          expr: `rate(process_cpu_seconds_total{${GATEWAYS}}[$__rate_interval])`,
          legend: '{{instance}}',
        },
      ],
    }),
    graph({
      title: 'Memory',
      queries: [
        {
          expr: `process_resident_memory_bytes{${GATEWAYS}}`,
          legend: 'resident, {{instance}}',
        },
        { expr: `clawmesh_heap_used_bytes{${GATEWAYS}}`, legend: 'heap, {{instance}}' },
      ],
      unit: 'bytes',
    }),
    graph({
      title: 'Overloaded',
      description: '1 while new work is refused, since memory is nearly used up.',
      queries: [{ expr: `clawmesh_overloaded{${GATEWAYS}}`, legend: '{{instance}}' }],
    }),
    graph({
      title: 'Workers',
      queries: [
        { expr: `sum by (state) (clawmesh_workers{${GATEWAYS}})`, legend: '{{state}}' },
        {
          expr: `sum(increase(clawmesh_worker_restarts_total{${GATEWAYS}}[$__rate_interval]))`,
          legend: 'restarts',
        },
      ],
    }),
    graph({
      title: 'Audit records',
      queries: [
        {
          expr: `sum(rate(clawmesh_audit_folded_total{${GATEWAYS}}[$__rate_interval]))`,
          legend: 'told by a summary',
        },
        {
          expr: `sum(rate(clawmesh_audit_dropped_total{${GATEWAYS}}[$__rate_interval]))`,
          legend: 'lost',
        },
      ],
      unit: 'cps',
    }),
    graph({
      title: 'Spans for the collector of traces',
      queries: [{ expr: perSecond('clawmesh_spans_total', 'result'), legend: '{{result}}' }],
      unit: 'cps',
    }),
    graph({
      title: 'Shared limits',
      description: 'Of gateways that count in Redis.',
      queries: [
        {
          expr: `min by (store) (clawmesh_limits_store_up{${GATEWAYS}})`,
          legend: '{{store}} is up',
        },
        {
          expr: perSecond('clawmesh_limits_without_store_total', 'answer'),
          legend: 'judged without it: {{answer}}',
        },
      ],
    }),
    graph({
      title: 'Up since',
      queries: [
        {
          expr: `time() - process_start_time_seconds{${GATEWAYS}}`,
          legend: '{{instance}}',
        },
      ],
      unit: 's',
    }),
    graph({
      title: 'Versions',
      queries: [
        {
          expr: `count by (version, node) (clawmesh_build_info{${GATEWAYS}})`,
          legend: 'gateway {{version}}, Node {{node}}',
        },
      ],
      stacked: true,
    }),
  ],
}

export const GATEWAY_ROWS: readonly Row[] = [glance, planes, files, running]
