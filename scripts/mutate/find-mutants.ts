/** Finds the mutants of a source: the same file with one change in it. */
import { type Edit, editsOf } from './operators.ts'
import { parseSource, walk } from './parse-source.ts'

export interface Mutant extends Edit {
  /** Relative to the root of the repository. */
  readonly file: string
  readonly line: number
  /** The lines that change, joined to one and trimmed. */
  readonly before: string
  readonly after: string
}

/** In the order of the source. Two changes that make the same text are one mutant. */
export function findMutants(file: string, text: string): Mutant[] {
  const { program, code } = parseSource(text)
  const edits: Edit[] = []
  walk(program, (node, parents) => {
    edits.push(...editsOf(node, parents, (start, end) => code.slice(start, end)))
  })
  const seen = new Set<string>()
  const mutants: Mutant[] = []
  for (const edit of edits) {
    const changed = apply(text, edit)
    if (changed === text || seen.has(changed)) continue
    seen.add(changed)
    mutants.push({ file, ...describe(text, edit), ...edit })
  }
  return mutants.sort((a, b) => a.start - b.start || a.end - b.end)
}

export function apply(text: string, { start, end, by }: Edit): string {
  return text.slice(0, start) + by + text.slice(end)
}

function describe(text: string, { start, end, by }: Edit) {
  const from = text.lastIndexOf('\n', start - 1) + 1
  const newline = text.indexOf('\n', end)
  const to = newline < 0 ? text.length : newline
  const onOneLine = (lines: string) => lines.replaceAll(/\s+/g, ' ').trim()
  return {
    line: text.slice(0, start).split('\n').length,
    before: onOneLine(text.slice(from, to)),
    after: onOneLine(text.slice(from, start) + by + text.slice(end, to)),
  }
}
