/** Runs a tool by its name. A refusal is a result too: what the model may do goes to the model, hints to the log. */
import { MeshError } from '@clawmesh/proto'
import {
  ArgumentFault,
  argumentsRefused,
  errorResult,
  type ToolName,
  type ToolResult,
} from '@clawmesh/proto/tools'
import { isEmpty } from '../messages.ts'
import { delegateTool } from './delegate-tool.ts'
import { peersTool } from './peers-tool.ts'
import { taskTool } from './task-tool.ts'
import type { RunTool, ToolCall } from './tool-call.ts'

/** mesh_fetch is not among them: its rights and its files are on the agent's side. */
const TOOLS: ReadonlyMap<string, RunTool> = new Map<ToolName, RunTool>([
  ['mesh_delegate', delegateTool],
  ['mesh_task', taskTool],
  ['mesh_peers', peersTool],
])

export const TOOL_NAMES: readonly string[] = Object.freeze([...TOOLS.keys()])

/** @returns null when the request was cancelled. @throws only for a fault of the gateway */
export async function runTool(
  name: string,
  args: unknown,
  call: ToolCall,
): Promise<ToolResult | null> {
  const tool = TOOLS.get(name)
  if (tool === undefined) throw new TypeError(`there is no tool ${name}`)
  try {
    return await tool(isEmpty(args) ? {} : args, call)
  } catch (error) {
    if (call.cancelled.aborted) return null
    if (error instanceof ArgumentFault) return argumentsRefused(error.message)
    if (!(error instanceof MeshError)) throw error
    call.onError(error)
    return errorResult(error, 'the peer')
  }
}
