/**
 * One HTTP request to the MCP endpoint: its facts, its refusal, and the record of what the gateway answers itself. What
 * becomes a call of the agent is recorded as that call.
 */
import {
  childTrace,
  GRPC_STATUS,
  METADATA_REQUEST_ID,
  METADATA_TRACEPARENT,
  type MeshError,
  parseTraceparent,
  startTrace,
  statusMessage,
  type TraceContext,
} from '@clawmesh/proto'
import { requestIdOf } from '../../audit/request-facts.ts'
import type { Metrics } from '../../telemetry/metrics-port.ts'
import type { Call } from '../call.ts'
import type { Client } from '../client/authenticate.ts'
import { actionOf, type RecordTargets, RecordWriter, startRecord } from '../record.ts'
import { endWithin } from './answer.ts'
import { type HttpRequest, type HttpResponse, headersOf } from './http.ts'
import { RPC_ERRORS } from './messages.ts'

export interface ExchangeOptions extends RecordTargets {
  readonly metrics: Pick<Metrics, 'decision' | 'duration'>
  /** The gateway's SPIFFE ID. */
  readonly gatewayId: () => string
  readonly policyGeneration: () => number
}

const NO_CHAIN: Call['chain'] = Object.freeze({
  ...{ token: null, delegationId: null, replica: null },
  ...{ destinations: null, scope: null, deadlineMs: null },
})

export class Exchange {
  readonly request: HttpRequest
  readonly response: HttpResponse
  readonly client: Client
  readonly requestId: string
  readonly trace: TraceContext
  readonly #parentSpanId: string | null
  /** Aborts when the response has ended, or its client has gone. */
  readonly gone: AbortSignal
  readonly #options: ExchangeOptions
  readonly #startedMs = performance.now()

  constructor(
    request: HttpRequest,
    response: HttpResponse,
    client: Client,
    options: ExchangeOptions,
  ) {
    this.request = request
    this.response = response
    this.client = client
    this.#options = options
    this.requestId = requestIdOf(headersOf(request, METADATA_REQUEST_ID)[0])
    const parent = parseTraceparent(headersOf(request, METADATA_TRACEPARENT)[0])
    const gone = new AbortController()
    response.on('close', () => gone.abort('the client has closed the stream'))
    this.gone = gone.signal
    this.trace = parent === null ? startTrace() : childTrace(parent)
    this.#parentSpanId = parent?.parentId ?? null
  }

  /** Headers of each answer. */
  get headers(): Readonly<Record<string, string>> {
    return { [METADATA_REQUEST_ID]: this.requestId }
  }

  /** An answer without a JSON-RPC message. */
  accept(status: 202): void {
    this.response.writeHead(status, this.headers)
    endWithin(this.response)
  }

  /** Refuses the whole request. */
  refuse(error: MeshError): void {
    this.record('', error)
    this.respond(error)
  }

  /** Answers with an error, in a form that MCP clients show to their user. */
  respond(error: MeshError): void {
    if (this.response.headersSent) {
      this.response.destroy()
      return
    }
    const { code, hint, publicMessage: reason, retryAfterMs } = error
    const data = { code, reason, hint, request_id: this.requestId }
    const body = {
      jsonrpc: '2.0',
      id: null,
      error: { code: RPC_ERRORS.refused, message: statusMessage(error), data },
    }
    this.response.writeHead(httpStatusOf(error), {
      ...this.headers,
      'content-type': 'application/json',
      // what is left of the body is not read
      ...(this.request.httpVersionMajor === 1 ? { connection: 'close' } : {}),
      ...(code === 'MESH_MCP_METHOD' ? { allow: 'POST' } : {}),
      ...(retryAfterMs === undefined
        ? {}
        : { 'retry-after': String(Math.ceil(retryAfterMs / 1000)) }),
    })
    endWithin(this.response, `${JSON.stringify(body)}\n`)
  }

  /** Writes the one audit record of something that the gateway answers itself. @param method of MCP; empty without one */
  record(method: string, error: MeshError | null): void {
    const { metrics, gatewayId, policyGeneration } = this.#options
    const record = startRecord(this.client.peer, this.client.address)
    record.call = {
      ...{ path: '/mcp', method: method === '' ? 'mcp' : `mcp/${method}`, target: '' },
      ...{ timeoutMs: null, requestId: this.requestId, trace: this.trace },
      parentSpanId: this.#parentSpanId,
      ...{ chain: NO_CHAIN, delegationId: null, metadata: [] },
    }
    record.route = SELF
    record.callee = gatewayId()
    record.letThrough = error === null
    const writer = new RecordWriter(record, this.#options, this.#startedMs, policyGeneration())
    const { reason } = writer.end({
      grpcStatus: error === null ? 0 : GRPC_STATUS[error.row.grpc],
      code: error?.code ?? null,
      ...{ bytesUp: 0, bytesDown: 0 },
    })
    const { traceId } = this.trace
    metrics.duration('delegation', (performance.now() - this.#startedMs) / 1000, traceId)
    metrics.decision('delegation', actionOf(record, error?.code ?? null), reason ?? 'OK', traceId)
  }
}

const SELF = Object.freeze({ kind: 'self' })

/** 401 would send a client to an OAuth server, which there is none of. */
function httpStatusOf({ row }: MeshError): number {
  return row.http === 401 ? 403 : row.http
}
