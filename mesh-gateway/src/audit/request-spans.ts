/**
 * Exports a span for each request and call, when a collector is configured: the ids are those that the traceparent of the
 * request already has, the facts are those of its audit record.
 */
import {
  type AttributeValue,
  type CollectorCredentials,
  createSpanExporter,
  describeFileFault,
  type Log,
  readWhole,
  type Span,
  spanMethod,
} from '@clawmesh/agent-sdk/mesh'
import { MeshError, Secret } from '@clawmesh/proto'
import type { SpanMetrics } from '../telemetry/span-metrics.ts'
import { VERSION } from '../version.ts'
import type { AuditRecord } from './audit-record.ts'
import { rpcSpan } from './rpc-method.ts'

/** Of the span that the gateway made for a request or call. */
export interface SpanIds {
  readonly traceId: string
  readonly spanId: string
  /** Null where the trace begins here. */
  readonly parentSpanId: string | null
}

export interface RequestSpans {
  /** Never waits and never throws. @param record of its end */
  ended(ids: SpanIds, record: AuditRecord): void
}

/** Where spans are posted. */
export interface CollectorConfig {
  /** Null: spans are not exported. */
  readonly url: string | null
  readonly caFile: string | null
  readonly tokenFile: string | null
  /** The share of traces that is exported, from 0 to 1. */
  readonly ratio: number
}

export interface RequestSpansOptions {
  readonly identity: { current(): { readonly identity: { readonly id: string } } }
  readonly metrics: SpanMetrics
  readonly log: Pick<Log, 'warn' | 'info'>
}

const MAX_FILE_BYTES = 1_048_576

interface Ended {
  readonly ids: SpanIds
  readonly record: AuditRecord
  readonly endMs: number
}

/** Null: none is exported. */
export function createRequestSpans(
  config: CollectorConfig,
  { identity, metrics, log }: RequestSpansOptions,
): (RequestSpans & { close(): Promise<void> }) | null {
  const { url, ratio } = config
  if (url === null) return null
  const exporter = createSpanExporter<Ended>({
    ...{ url: new URL(url), ratio, log, spanOf },
    onOutcome: metrics.spans,
    resource: {
      'service.name': 'clawmesh-gateway',
      'service.version': VERSION,
      'service.instance.id': identity.current().identity.id,
    },
    scope: { name: '@clawmesh/gateway', version: VERSION },
    credentials: () => readCredentials(config),
  })
  return {
    ended: (ids, record) => exporter.add(ids.traceId, { ids, record, endMs: Date.now() }),
    close: () => exporter.close(),
  }
}

function spanOf({ ids, record, endMs }: Ended): Span {
  const { traceId, spanId, parentSpanId } = ids
  const isEgress = record.event === 'egress'
  const method = isEgress ? spanMethod(record.method) : rpcSpan(record.grpc_method)
  return {
    ...{ traceId, spanId, parentSpanId, endMs, durationMs: record.duration_ms },
    name: isEgress ? `egress ${method.name}` : method.name,
    kind: 'server',
    error: failureOf(record),
    attributes: { ...commonOf(record), ...method.attributes, ...ofPlane(record) },
  }
}

/** What audit mode let through is no failure. */
function failureOf(record: AuditRecord): string | null {
  if (record.reason === null) return null
  const ended = record.event === 'egress' ? record.status : record.grpc_status
  const went = record.event === 'egress' ? ended !== null && ended > 0 && ended < 400 : ended === 0
  return record.action_allowed && went ? null : record.reason
}

/** By OpenTelemetry's semantic conventions where they have a name, else by the field of the audit record. */
function commonOf(record: AuditRecord): Readonly<Record<string, AttributeValue>> {
  return {
    'server.address': record.destination_host,
    'server.port': record.destination_port,
    'clawmesh.plane': record.event,
    'clawmesh.request_id': record.request_id,
    'clawmesh.tenant': record.tenant,
    'clawmesh.agent_id': record.agent_id,
    'clawmesh.action_allowed': record.action_allowed,
    'clawmesh.mode': record.mode,
    'clawmesh.reason': record.reason,
    'clawmesh.rule': record.rule,
    'clawmesh.root_id': record.root_id,
    'clawmesh.bytes_up': record.bytes_up,
    'clawmesh.bytes_down': record.bytes_down,
  }
}

/** Without paths, which may hold anything. */
function ofPlane(record: AuditRecord): Readonly<Record<string, AttributeValue>> {
  if (record.event === 'egress')
    return {
      'http.response.status_code': record.status === 0 ? null : record.status,
    }
  return {
    'rpc.grpc.status_code': record.grpc_status,
    'clawmesh.caller': record.caller,
    'clawmesh.callee': record.callee,
    'clawmesh.delegation_id': record.delegation_id,
    'clawmesh.hop': record.hop,
  }
}

/** For each POST, since files are replaced. @throws MeshError that names the file */
async function readCredentials({
  caFile,
  tokenFile,
}: CollectorConfig): Promise<CollectorCredentials> {
  const ca = await textOf(caFile, 'traces.caFile')
  const token = await textOf(tokenFile, 'traces.tokenFile')
  return {
    ...(ca === null ? {} : { ca }),
    ...(token === null ? {} : { token: new Secret(token.trim()) }),
  }
}

async function textOf(file: string | null, key: string): Promise<string | null> {
  if (file === null) return null
  try {
    return (await readWhole(file, { maxBytes: MAX_FILE_BYTES })).toString('utf8')
  } catch (cause) {
    const message = `${key} cannot be read (${describeFileFault(cause)})`
    throw new MeshError('MESH_CONFIG_INVALID', message, { cause })
  }
}
