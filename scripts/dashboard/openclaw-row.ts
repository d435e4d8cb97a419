/**
 * What OpenClaw tells through its plugin diagnostics-prometheus (docs/gateway/prometheus.md of OpenClaw 2026.9.6), beside
 * what the gateway saw of the same work.
 */
import type { Row } from './gateway-rows.ts'
import { GATEWAYS, graph, quantile } from './panels.ts'

const OPENCLAW = 'job=~"$openclaw"'
const perSecond = (counter: string, by: string, more = '') =>
  `sum by (${by}) (rate(${counter}{${OPENCLAW}${more}}[$__rate_interval]))`

export const OPENCLAW_ROW: Row = {
  title: 'OpenClaw',
  panels: [
    graph({
      title: 'Tools of the mesh: OpenClaw and gateway, p95',
      description:
        'What a tool took in OpenClaw, and what its calls and requests took at the gateway.',
      queries: [
        {
          expr: quantile(
            0.95,
            'openclaw_tool_execution_duration_seconds',
            'tool',
            `${OPENCLAW}, tool=~"mesh_.*|web_fetch"`,
          ),
          legend: 'OpenClaw, {{tool}}',
        },
        {
          expr: quantile(0.95, 'clawmesh_request_duration_seconds', 'plane', GATEWAYS),
          legend: 'gateway, {{plane}}',
          exemplars: true,
        },
      ],
      unit: 's',
    }),
    graph({
      title: 'Refused: by OpenClaw and by the gateway',
      queries: [
        {
          expr: perSecond('openclaw_tool_execution_blocked_total', 'tool, denied_reason'),
          legend: 'OpenClaw, {{tool}}: {{denied_reason}}',
        },
        {
          expr: `sum by (plane) (rate(clawmesh_decisions_total{${GATEWAYS}, action="deny"}[$__rate_interval]))`,
          legend: 'gateway, {{plane}}',
          exemplars: true,
        },
      ],
      unit: 'cps',
    }),
    graph({
      title: 'Tools',
      queries: [
        {
          expr: perSecond('openclaw_tool_execution_total', 'tool, outcome'),
          legend: '{{tool}}: {{outcome}}',
        },
      ],
      unit: 'cps',
      stacked: true,
    }),
    graph({
      title: 'Skills',
      queries: [
        {
          expr: perSecond('openclaw_skill_used_total', 'skill, agent'),
          legend: '{{skill}}, {{agent}}',
        },
      ],
      unit: 'cps',
      stacked: true,
    }),
    graph({
      title: 'Runs',
      queries: [
        { expr: perSecond('openclaw_run_completed_total', 'outcome'), legend: '{{outcome}}' },
      ],
      unit: 'cps',
      stacked: true,
    }),
    graph({
      title: 'Duration of runs and of calls to models, p95',
      queries: [
        { expr: quantile(0.95, 'openclaw_run_duration_seconds', '', OPENCLAW), legend: 'run' },
        {
          expr: quantile(
            0.95,
            'openclaw_model_call_duration_seconds',
            'provider, model',
            `${OPENCLAW}, observation_unit="request"`,
          ),
          legend: '{{provider}} {{model}}',
        },
      ],
      unit: 's',
    }),
    graph({
      title: 'Calls to models',
      queries: [
        {
          expr: perSecond('openclaw_model_call_total', 'provider, outcome, error_category'),
          legend: '{{provider}}: {{outcome}}, {{error_category}}',
        },
      ],
      unit: 'cps',
      stacked: true,
    }),
    graph({
      title: 'Tokens of models',
      queries: [
        {
          expr: perSecond('openclaw_model_tokens_total', 'provider, token_type'),
          legend: '{{provider}} {{token_type}}',
        },
      ],
      unit: 'cps',
      stacked: true,
    }),
    graph({
      title: 'Waiting in queues, p95; stuck sessions',
      queries: [
        {
          expr: quantile(0.95, 'openclaw_queue_lane_wait_seconds', 'lane', OPENCLAW),
          legend: '{{lane}}',
        },
        {
          expr: perSecond('openclaw_session_stuck_total', 'reason, state'),
          legend: 'stuck: {{reason}}, {{state}}',
        },
      ],
      unit: 's',
    }),
    graph({
      title: 'Event loop delay, worst window',
      queries: [
        {
          expr: quantile(1, 'openclaw_gateway_event_loop_delay_max_seconds', 'instance', OPENCLAW),
          legend: '{{instance}}',
        },
      ],
      unit: 's',
    }),
    graph({
      title: 'Memory',
      queries: [
        {
          expr: `openclaw_memory_bytes{${OPENCLAW}, kind=~"rss|heap_used"}`,
          legend: '{{kind}}, {{instance}}',
        },
      ],
      unit: 'bytes',
    }),
    graph({
      title: 'Versions',
      queries: [
        {
          expr: `count by (build_id) (openclaw_gateway_build_info{${OPENCLAW}})`,
          legend: 'build {{build_id}}',
        },
      ],
      stacked: true,
    }),
  ],
}
