/** The export of an agent's spans, when it was given a collector. */
import { type AgentIdentity, Secret } from '@clawmesh/proto'
import { checkOptions, optionNames } from '../check-options.ts'
import type { Log } from '../log.ts'
import { isLoopback } from '../model/listen-address.ts'
import type { Span } from '../trace/span.ts'
import { createSpanExporter } from '../trace/span-exporter.ts'
import { createSpanRecorder, type SpanRecorder } from '../trace/span-recorder.ts'

/** Where an agent sends its spans. */
export interface TraceExport {
  /** OTLP/HTTP, with the path: `http://127.0.0.1:4318/v1/traces`. It is reached directly, past the gateway. */
  readonly url: string
  /** PEM of the CAs of an https collector. Default: the public ones. */
  readonly ca?: string
  /** A bearer token. Default: none. */
  readonly token?: string
  /** The share of traces that is exported, from 0 to 1, chosen by the trace id alone. Default 1. */
  readonly ratio?: number
}

export interface OpenSpans extends SpanRecorder {
  close(): Promise<void>
}

const NAMES = optionNames<TraceExport>({ url: true, ca: true, token: true, ratio: true })

/** @throws TypeError for options that make no sense */
export function checkTraceExport(traces: TraceExport): void {
  checkOptions(traces, NAMES, 'createAgent', 'traces')
  const { url: text, token, ratio = 1 } = traces
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^https?:$/.test(url.protocol) || url.username + url.password !== '')
    throw new TypeError(
      'traces.url: must be http:// or https://, with the path: http://127.0.0.1:4318/v1/traces',
    )
  if (token !== undefined && url.protocol === 'http:' && !isLoopback(url.hostname))
    throw new TypeError('traces.token: needs https:// in traces.url, or a loopback address')
  if (!(ratio >= 0 && ratio <= 1)) throw new TypeError('traces.ratio: must be from 0 to 1')
}

/** Null: none are exported. */
export function openSpans(
  traces: TraceExport | undefined,
  { identity, log }: { readonly identity: AgentIdentity; readonly log: Pick<Log, 'warn' | 'info'> },
): OpenSpans | null {
  if (traces === undefined) return null
  const { url, ca, token, ratio = 1 } = traces
  const credentials = {
    ...(ca === undefined ? {} : { ca }),
    ...(token === undefined ? {} : { token: new Secret(token) }),
  }
  const exporter = createSpanExporter<Span>({
    ...{ url: new URL(url), ratio, log },
    spanOf: (span) => span,
    resource: {
      'service.name': identity.agent,
      'service.namespace': identity.tenant,
      'service.instance.id': identity.id,
    },
    scope: { name: '@clawmesh/agent-sdk' },
    credentials: async () => credentials,
  })
  return { ...createSpanRecorder(exporter), close: () => exporter.close() }
}
