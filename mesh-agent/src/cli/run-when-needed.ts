/** Loads what a command runs on when it runs: help, and a wrong option, need no SDK. */
import type { ToolRun } from './run-tool.ts'

export async function runTool(run: ToolRun): Promise<void> {
  const tool = await import('./run-tool.ts')
  await tool.runTool(run)
}
