/** A task's result as a model reads it: one marked block of bounded length. The gateway keeps no files. */
import type { Part, TaskResult } from '@clawmesh/agent-sdk/mesh'
import { markUntrusted, plainLineOf, plainTextOf, type ToolResult } from '@clawmesh/proto/tools'
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
      ...{ output: outputOf(result.output), files: [], usage, cut },
    },
  }
}

function nameOf(part: Part, index: number): string {
  return part.kind === 'bytes'
    ? `output ${index + 1}, ${plainLineOf(part.mediaType ?? 'binary', 100)}`
    : ''
}

function usageLines(usage: Readonly<Record<string, number>>): string[] {
  const entries = Object.entries(usage)
  if (entries.length === 0) return []
  return ['', `used: ${entries.map(([name, amount]) => `${name} ${amount}`).join(', ')}`]
}

/** Parts in their order, as text; bytes are files. */
function outputText(output: readonly Part[]): string {
  return output
    .flatMap((part) => {
      if (part.kind === 'text') return [part.text]
      if (part.kind === 'json') return [JSON.stringify(part.json, null, 1) ?? 'null']
      if (part.kind === 'artifact') return [`(the artifact ${plainLineOf(part.name)})`]
      return []
    })
    .join('\n')
}

/** For programs: one JSON value, or the text. Null when it is too long for a result. */
function outputOf(output: readonly Part[]): unknown {
  const [first, ...more] = output
  if (first?.kind === 'json' && more.length === 0) {
    const text = JSON.stringify(first.json) ?? 'null'
    return text.length > MAX_TEXT ? null : first.json
  }
  const text = outputText(output)
  return text.length > MAX_TEXT ? null : text
}
