/** One MCP session: lists the tools of the mesh and runs them, with progress, cancel and a bounded wait. */

import type { Log } from '@clawmesh/agent-sdk'
import { MeshError, parseTraceparent } from '@clawmesh/proto'
import { errorResult, factsOf, TOOL_DEFINITIONS, TOOL_INSTRUCTIONS } from '@clawmesh/proto/tools'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import {
  CallToolRequestSchema,
  type CallToolResult,
  ErrorCode,
  ListToolsRequestSchema,
  McpError,
} from '@modelcontextprotocol/sdk/types.js'
import type { ToolContext, ToolResult } from '../tools/index.ts'
import type { ToolHost } from '../tools/tool-host.ts'
import { VERSION } from '../version.ts'
import { reportProgress } from './progress.ts'
import { createWorkspace } from './session-workspace.ts'

export interface McpSessionOptions {
  readonly host: ToolHost
  /** How long a call takes at most, in milliseconds. Clients give up after 60 s. */
  readonly maxWaitMs: number
  /** Where files go; undefined: where the client works, or the state directory. */
  readonly workspaceDir: string | undefined
  /** A directory that the client probably works in; null where nothing is known, as over HTTP. */
  readonly cwd: string | null
  readonly log: Log
}

/** The key of `details` in `_meta` of a result: for programs, not for models. */
export const DETAILS_KEY = 'clawmesh/details'

/** To be connected to a transport. Its close ends the calls that still wait, and cancels tasks that no id was given for. */
export function createMcpSession(options: McpSessionOptions): Server {
  const { host, maxWaitMs, log } = options
  const server = new Server(
    { name: 'clawmesh', version: VERSION },
    { capabilities: { tools: {} }, instructions: TOOL_INSTRUCTIONS },
  )
  const workspace = createWorkspace(server, options)
  server.onerror = (err) => log.debug({ err }, 'an MCP session met an error')
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: Object.values(TOOL_DEFINITIONS).map(
      ({ name, description, inputSchema, annotations }) => ({
        ...{ name, description, annotations },
        inputSchema: { ...inputSchema, type: 'object' as const },
      }),
    ),
  }))
  server.setRequestHandler(CallToolRequestSchema, async (request, extra) => {
    const { name, arguments: args = {}, _meta } = request.params
    const definition = Object.values(TOOL_DEFINITIONS).find((each) => each.name === name)
    if (definition === undefined)
      throw new McpError(ErrorCode.InvalidParams, `there is no tool ${JSON.stringify(name)}`)
    const token = _meta?.progressToken
    const progress =
      token === undefined ? null : reportProgress(token, (sent) => extra.sendNotification(sent))
    try {
      const { agent, tools, stateDir } = await host.get()
      const trace = _meta?.traceparent
      const context: ToolContext = {
        ...{ agent, maxWaitMs, log, signal: extra.signal },
        workspaceDir: await workspace(stateDir),
        ...(typeof trace === 'string' && parseTraceparent(trace) !== null
          ? { traceparent: trace }
          : {}),
        ...(progress === null ? {} : { onProgress: progress.tell }),
      }
      return toMcp(await tools.get(definition.name).run(args, context))
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
      // the agent itself cannot be made
      log.warn({ code: error.code, hint: error.hint }, error.message)
      return toMcp(errorResult(error, 'the gateway'))
    } finally {
      progress?.stop()
    }
  })
  return server
}

function toMcp(result: ToolResult): CallToolResult {
  const { text, isError } = result
  // the words of others stand in the text alone, between marks
  return { content: [{ type: 'text', text }], isError, _meta: { [DETAILS_KEY]: factsOf(result) } }
}
