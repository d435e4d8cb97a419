/** What every tool does with what goes wrong in it: a refusal for the model, hints and causes for the log. */
import { MeshError } from '@clawmesh/proto'
import {
  ArgumentFault,
  argumentsRefused,
  errorResult,
  refusalResult,
  type ToolResult,
} from '@clawmesh/proto/tools'
import type { ToolContext } from './tool.ts'

/** @param from who may have written the words of an error */
export async function runSafely(
  { log }: Pick<ToolContext, 'log'>,
  from: string,
  work: () => Promise<ToolResult>,
): Promise<ToolResult> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof ArgumentFault) return argumentsRefused(error.message)
    if (error instanceof MeshError) {
      const { code, hint, message, cause } = error
      log.warn(
        { code, hint, ...(cause === undefined ? {} : { err: cause }) },
        `refused: ${message}`,
      )
      return errorResult(error, from)
    }
    log.error({ err: error }, 'a tool failed')
    return refusalResult({
      code: 'TOOL_FAILED',
      reason: 'the tool failed, and its log says why',
      advice: 'tell your user',
    })
  }
}
