/**
 * What OpenClaw 2026.9.6 exposes by its plugin diagnostics-prometheus, as far as the dashboard shows it. The names and labels
 * are those of its page on Prometheus metrics (test/openclaw compares them with the installed one), and so is the answer
 * to a scrape without the token.
 */
import { createServer } from 'node:http'
import { closeServer, listenOnFreePort } from './http-origin.ts'

export interface OpenClawMetric {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  /** Each label with the values that series have in tests. */
  readonly labels: Readonly<Record<string, readonly string[]>>
}

const MODEL = { provider: ['mock'], model: ['mock'] }
const TOOL = {
  params_kind: ['object'],
  tool: ['mesh_delegate', 'web_fetch'],
  tool_owner: ['clawmesh'],
  tool_source: ['plugin'],
}
const CALL = {
  ...MODEL,
  api: ['openai-completions'],
  error_category: ['none'],
  observation_unit: ['request'],
  outcome: ['completed'],
  transport: ['http'],
}
const RUN = { ...MODEL, channel: ['api'], outcome: ['completed', 'error'], trigger: ['user'] }

export const OPENCLAW_METRICS: Readonly<Record<string, OpenClawMetric>> = {
  openclaw_gateway_build_info: {
    kind: 'gauge',
    labels: { process_instance_id: ['7c0f3a52'], build_id: ['2026.9.6'] },
  },
  openclaw_tool_execution_total: {
    kind: 'counter',
    labels: { ...TOOL, error_category: ['none'], outcome: ['completed'] },
  },
  openclaw_tool_execution_duration_seconds: {
    kind: 'histogram',
    labels: { ...TOOL, error_category: ['none'], outcome: ['completed'] },
  },
  openclaw_tool_execution_blocked_total: {
    kind: 'counter',
    labels: { ...TOOL, denied_reason: ['policy'] },
  },
  openclaw_skill_used_total: {
    kind: 'counter',
    labels: { activation: ['model'], agent: ['main'], skill: ['mesh'], source: ['workspace'] },
  },
  openclaw_run_completed_total: { kind: 'counter', labels: RUN },
  openclaw_run_duration_seconds: { kind: 'histogram', labels: RUN },
  openclaw_model_call_total: { kind: 'counter', labels: CALL },
  openclaw_model_call_duration_seconds: { kind: 'histogram', labels: CALL },
  openclaw_model_tokens_total: {
    kind: 'counter',
    labels: { ...MODEL, agent: ['main'], channel: ['api'], token_type: ['input', 'output'] },
  },
  openclaw_queue_lane_wait_seconds: { kind: 'histogram', labels: { lane: ['main'] } },
  openclaw_session_stuck_total: {
    kind: 'counter',
    labels: { reason: ['none'], state: ['processing'] },
  },
  openclaw_gateway_event_loop_delay_max_seconds: { kind: 'histogram', labels: {} },
  openclaw_memory_bytes: { kind: 'gauge', labels: { kind: ['rss', 'heap_used'] } },
}

/** Of durations, in seconds. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]

export interface OpenClawStandIn {
  /** host:port */
  readonly address: string
  close(): Promise<void>
}

/** Each scrape finds one event more. Without the token it answers 401. */
export async function startOpenClawMetrics(token: string): Promise<OpenClawStandIn> {
  let scrapes = 0
  const server = createServer((request, response) => {
    if (request.url !== '/api/diagnostics/prometheus') return void response.writeHead(404).end()
    if (request.headers.authorization !== `Bearer ${token}`)
      return void response.writeHead(401).end('unauthorized')
    scrapes += 1
    response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8')
    response.end(expose(scrapes))
  })
  const port = await listenOnFreePort(server)
  return { address: `127.0.0.1:${port}`, close: () => closeServer(server) }
}

function expose(events: number): string {
  const lines = Object.entries(OPENCLAW_METRICS).flatMap(([name, { kind, labels }]) => [
    `# HELP ${name} A metric of OpenClaw.`,
    `# TYPE ${name} ${kind}`,
    ...eachSeries(Object.entries(labels)).flatMap((series) =>
      kind === 'histogram'
        ? [
            ...[...BUCKETS, '+Inf'].map((le, i) =>
              lineOf(`${name}_bucket`, [...series, ['le', String(le)]], i < 4 ? 0 : events),
            ),
            lineOf(`${name}_sum`, series, events * 0.08),
            lineOf(`${name}_count`, series, events),
          ]
        : [lineOf(name, series, kind === 'counter' ? events : 1)],
    ),
  ])
  return `${lines.join('\n')}\n`
}

type Labels = readonly (readonly [string, string])[]

function eachSeries(labels: readonly (readonly [string, readonly string[]])[]): Labels[] {
  const [[name, values] = [], ...rest] = labels
  if (name === undefined || values === undefined) return [[]]
  return values.flatMap((value) =>
    eachSeries(rest).map((more) => [[name, value], ...more] as const),
  )
}

function lineOf(name: string, labels: Labels, value: number): string {
  const written = labels.map(([label, text]) => `${label}="${text}"`).join(',')
  return `${name}${written === '' ? '' : `{${written}}`} ${value}`
}
