/** The tools of the mesh for any agent host: one body of code for MCP, for the shell and for plugins. */
export type { ToolDefinition, ToolName, ToolResult } from '@clawmesh/proto/tools'
export {
  factsOf,
  markUntrusted,
  plainLineOf,
  plainTextOf,
  TOOL_DEFINITIONS,
  TOOL_INSTRUCTIONS,
} from '@clawmesh/proto/tools'
export { createTools } from './create-tools.ts'
export type { Tool, ToolContext, ToolProgress, Tools, ToolsOptions } from './tool.ts'
