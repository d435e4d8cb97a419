/** A task's result as a model reads it: one marked block of bounded length. The gateway keeps no files. */
import type { Part, TaskResult } from '@clawmesh/agent-sdk/mesh'
import {
  markUntrusted,
  outputOf,
  outputText,
  plainLineOf,
  plainTextOf,
  type ToolResult,
  usageLines,
} from '@clawmesh/proto/tools'
import type { TaskView } from './task-view.ts'

const MAX_TEXT = 20_000

export function renderResult(
  result: TaskResult,
  { peer, skill, usage, artifacts }: Pick<TaskView, 'peer' | 'skill' | 'usage' | 'artifacts'>,
): ToolResult {
  const whole = plainTextOf(outputText(result.output))
  const cut = whole.length > MAX_TEXT
  const shown = cut ? whole.slice(0, MAX_TEXT).toWellFormed() : whole
  const left = [...artifacts, ...result.output.filter((part) => part.kind === 'bytes').map(nameOf)]
  const head = [
    `The task is completed: id ${result.id}, peer ${peer}, skill ${skill}.`,
    ...(cut ? [`Its text is cut after ${MAX_TEXT} of ${whole.length} characters.`] : []),
    ...(left.length === 0 ? [] : [`Files do not come this way: ${left.length} not kept.`]),
  ]
  const block = [
    shown === '' ? '(no output)' : shown,
    ...left.map((name) => `file not kept: ${name}`),
    ...usageLines(usage),
  ].join('\n')
  return {
    text: [...head, '', markUntrusted(`the peer ${peer}`, block)].join('\n'),
    isError: false,
    details: {
      ...{ id: result.id, peer, skill, state: 'completed' },
      ...{ output: outputOf(result.output, MAX_TEXT), files: [], usage, cut },
    },
  }
}

function nameOf(part: Part, index: number): string {
  return part.kind === 'bytes'
    ? `output ${index + 1}, ${plainLineOf(part.mediaType ?? 'binary', 100)}`
    : ''
}
