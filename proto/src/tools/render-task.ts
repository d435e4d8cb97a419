/** How a task at a peer is told to a model: its output as text, what it used, and where it stands when a call must answer first. */
import type { ToolResult } from './tool-result.ts'
import { markUntrusted, plainLineOf, plainTextOf } from './untrusted.ts'

/** Characters of a question that a model sees at most. */
const MAX_QUESTION = 4_000
const TOO_DEEP = '(JSON that is nested too deep to show)'

/** One part of an output, as the SDK gives it. */
export type OutputPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'json'; readonly json: unknown }
  | { readonly kind: 'artifact'; readonly name: string }
  | { readonly kind: 'bytes' }

/** Parts in their order, as text; bytes are files. */
function outputText(output: readonly OutputPart[]): string {
  return output
    .flatMap((part) => {
      if (part.kind === 'text') return [part.text]
      if (part.kind === 'json') return [jsonText(part.json, 1)]
      if (part.kind === 'artifact') return [`(the artifact ${plainLineOf(part.name)})`]
      return []
    })
    .join('\n')
}

/** For programs: one JSON value, or the text. Null when it is longer than that. */
export function outputOf(output: readonly OutputPart[], maxTextLength: number): unknown {
  const [first, ...more] = output
  if (first?.kind === 'json' && more.length === 0) {
    const text = jsonText(first.json)
    return text === TOO_DEEP || text.length > maxTextLength ? null : first.json
  }
  const text = outputText(output)
  return text.length > maxTextLength ? null : text
}

/** The question of a peer as text of bounded length. */
export function questionText(question: readonly OutputPart[]): string {
  return question
    .map((part) => (part.kind === 'text' ? part.text : jsonText(part)))
    .join('\n')
    .slice(0, MAX_QUESTION)
}

/** A peer may nest a value deeper than JSON.stringify can go, which then throws a RangeError. */
function jsonText(value: unknown, indent = 0): string {
  try {
    return JSON.stringify(value, null, indent) ?? 'null'
  } catch {
    return TOO_DEEP
  }
}

/** The lines of a block that say what the task used; none for nothing. */
function usageLines(usage: Readonly<Record<string, number>>): string[] {
  const entries = Object.entries(usage)
  if (entries.length === 0) return []
  return ['', `used: ${entries.map(([name, amount]) => `${name} ${amount}`).join(', ')}`]
}

/** The text of an output, for a model. */
export interface BoundedText {
  readonly whole: string
  /** Its beginning, at most so long as asked. */
  readonly shown: string
  readonly cut: boolean
}

export function boundedText(output: readonly OutputPart[], maxTextLength: number): BoundedText {
  const whole = plainTextOf(outputText(output))
  const cut = whole.length > maxTextLength
  return { whole, shown: cut ? whole.slice(0, maxTextLength).toWellFormed() : whole, cut }
}

export interface CompletedTask {
  readonly id: string
  /** Full name. */
  readonly peer: string
  readonly skill: string
  readonly usage: Readonly<Record<string, number>>
  /** As `outputOf` gives it. */
  readonly output: unknown
}

/** What a door says around the text, and where the files went. */
export interface CompletedRemarks {
  /** In our words alone. */
  readonly sentences: readonly string[]
  /** With the words of the peer: they go into the marked block. */
  readonly lines: readonly string[]
  readonly files: readonly object[]
}

/** A completed task: sentences of ours, and one marked block with the words of the peer. */
export function completedResult(
  { id, peer, skill, usage, output }: CompletedTask,
  { shown, cut }: BoundedText,
  { sentences, lines, files }: CompletedRemarks,
): ToolResult {
  const head = [`The task is completed: id ${id}, peer ${peer}, skill ${skill}.`, ...sentences]
  const block = [shown === '' ? '(no output)' : shown, ...lines, ...usageLines(usage)].join('\n')
  return {
    text: [...head, '', markUntrusted(`the peer ${peer}`, block)].join('\n'),
    isError: false,
    details: { id, peer, skill, state: 'completed', output, files, usage, cut },
  }
}

export interface StandingTask {
  readonly id: string
  /** Full name. */
  readonly peer: string
  /** Empty when it is not known. */
  readonly skill: string
  readonly state: string
  /** Of the peer, in its own words; null without one. */
  readonly question: { readonly inputId: string; readonly text: string } | null
}

/**
 * The answer of a call that ends before its task.
 * @param seconds how long the call has waited
 * @param where further arguments by which `mesh_task` finds the task again, as JSON, e.g. `, "peer": "…"`
 */
export function standingResult(
  { id, peer, skill, state, question }: StandingTask,
  seconds: number,
  where = '',
): ToolResult {
  const details = { id, peer, ...(skill === '' ? {} : { skill }), state }
  const call = (action: string, more = '') =>
    `mesh_task with {"action": "${action}", "id": "${id}"${where}${more}}`
  if (question === null)
    return {
      text: [
        `The task has not ended after ${seconds} s: id ${id}, peer ${peer}, state ${state}.`,
        `It goes on by itself. Come back with ${call('wait')}, or stop it with ${call('cancel')}.`,
      ].join('\n'),
      isError: false,
      details,
    }
  return {
    text: [
      `The peer asks something before it goes on: id ${id}, peer ${peer}, state input-required.`,
      `Answer with ${call('answer', ', "answer": …')}, or stop the task with ${call('cancel')}. Ask your user where you do not know.`,
      '',
      markUntrusted(`the peer ${peer}`, question.text),
    ].join('\n'),
    isError: false,
    details: { ...details, state: 'input-required', input_id: question.inputId },
  }
}
