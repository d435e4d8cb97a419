/** tools/call: runs a tool as the agent of the client, within the trace and the chain of the request. */
import { type Caller, createCaller } from '@clawmesh/agent-sdk/calls'
import type { Log } from '@clawmesh/agent-sdk/mesh'
import { type AgentIdentity, formatTraceparent, MeshError, parseTraceparent } from '@clawmesh/proto'
import { factsOf, type ToolResult } from '@clawmesh/proto/tools'
import type { Answer } from './answer.ts'
import type { Exchange } from './exchange.ts'
import { createInnerChannel, type InnerChannel } from './inner-channel.ts'
import type { InnerConnections } from './inner-connections.ts'
import { isRecord, type Params, type RequestId, RPC_ERRORS } from './messages.ts'
import { reportProgress } from './progress.ts'
import { RpcFault } from './rpc-fault.ts'
import type { RunningRequests } from './running-requests.ts'
import { runTool, TOOL_NAMES } from './tools/run-tool.ts'

export interface CallToolOptions {
  readonly meshDomain: string
  readonly inner: InnerConnections
  readonly running: RunningRequests
  readonly log: Log
}

/** What a message came with, and where its answer goes. */
export interface Asked {
  readonly exchange: Exchange
  readonly answer: Answer
  readonly caller: AgentIdentity
  /** Empty without one. */
  readonly session: string
}

/** Larger results of a task are refused: nothing of them is kept here. */
const MAX_RESULT_BYTES = 1_048_576

/** @returns null when the request was cancelled. @throws RpcFault */
export async function callTool(
  id: RequestId,
  params: Params,
  asked: Asked,
  options: CallToolOptions,
): Promise<object | null> {
  const { name } = params
  if (typeof name !== 'string' || !TOOL_NAMES.includes(name)) {
    const names = TOOL_NAMES.join(', ')
    throw new RpcFault(RPC_ERRORS.params, `there is no such tool; there are ${names}`)
  }
  const run = options.running.begin(asked.session, id)
  if (run === null) throw new RpcFault(RPC_ERRORS.invalid, 'a request with this id runs already')
  const { exchange } = asked
  const channel = createInnerChannel(options.inner, exchange)
  const caller = callerOf(asked, params, channel, options)
  const progress = reportProgress(params, asked.answer)
  try {
    const result = await runTool(name, params.arguments, {
      ...{ caller, tenant: asked.caller.tenant, released: run.released },
      cancelled: AbortSignal.any([run.cancelled, exchange.gone]),
      onProgress: progress.tell,
      onError: ({ code, hint, message }) =>
        options.log.debug({ code, hint, request_id: exchange.requestId }, `refused: ${message}`),
    })
    // what it has called is recorded as those calls
    if (channel.calls === 0) exchange.record('tools/call', refusalOf(result))
    return result === null ? null : toolResult(result)
  } finally {
    progress.stop()
    caller.close()
    run.end()
  }
}

function callerOf(
  { exchange, caller: { tenant } }: Asked,
  params: Params,
  channel: InnerChannel,
  { meshDomain, log }: CallToolOptions,
): Caller {
  return createCaller({
    ...{ channel, tenant, meshDomain, log, maxResultBytes: MAX_RESULT_BYTES },
    // always one of the gateway's own names
    gatewayName: 'localhost',
    traceparent: traceOf(params, exchange),
  })
}

/** The trace that the message names (SEP-414 of MCP), or else that of its HTTP request. */
function traceOf({ _meta: meta }: Params, { trace }: Exchange): string {
  const named = isRecord(meta) ? meta.traceparent : undefined
  const own = typeof named === 'string' ? parseTraceparent(named) : null
  return formatTraceparent(own ?? trace)
}

/** Hosts show structured content to the model too: the words of others stand in the text alone, between marks. */
function toolResult(result: ToolResult): object {
  const { text, isError } = result
  return { content: [{ type: 'text', text }], structuredContent: factsOf(result), isError }
}

function refusalOf(result: ToolResult | null): MeshError | null {
  if (result === null) return new MeshError('MESH_CALL_CANCELED')
  return result.isError ? new MeshError('MESH_MCP_REQUEST', 'the arguments are refused') : null
}
