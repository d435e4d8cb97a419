/** A task's result as a model reads it: one marked block of bounded length. The gateway keeps no files. */
import type { Part, TaskResult } from '@clawmesh/agent-sdk/mesh'
import {
  boundedText,
  completedResult,
  outputOf,
  plainLineOf,
  type ToolResult,
} from '@clawmesh/proto/tools'
import type { TaskView } from './task-view.ts'

const MAX_TEXT = 20_000

export function renderResult(
  { id, output }: TaskResult,
  { peer, skill, usage, artifacts }: Pick<TaskView, 'peer' | 'skill' | 'usage' | 'artifacts'>,
): ToolResult {
  const text = boundedText(output, MAX_TEXT)
  const left = [...artifacts, ...output.filter((part) => part.kind === 'bytes').map(nameOf)]
  const sentences = [
    ...(text.cut ? [`Its text is cut after ${MAX_TEXT} of ${text.whole.length} characters.`] : []),
    ...(left.length === 0 ? [] : [`Files do not come this way: ${left.length} not kept.`]),
  ]
  const lines = left.map((name) => `file not kept: ${name}`)
  const task = { id, peer, skill, usage, output: outputOf(output, MAX_TEXT) }
  return completedResult(task, text, { sentences, lines, files: [] })
}

function nameOf(part: Part, index: number): string {
  return part.kind === 'bytes'
    ? `output ${index + 1}, ${plainLineOf(part.mediaType ?? 'binary', 100)}`
    : ''
}
