/** Reads a TypeScript source as JavaScript at the same offsets: Node blanks the types out, acorn parses what is left. */
import { stripTypeScriptTypes } from 'node:module'
import { type AnyNode, parse } from 'acorn'

export interface ParsedSource {
  readonly program: AnyNode
  /** The source with types and comments made blank, so that its offsets are those of the file. */
  readonly code: string
}

export function parseSource(text: string): ParsedSource {
  const stripped = stripTypeScriptTypes(text, { mode: 'strip' })
  if (stripped.length !== text.length) throw new Error('stripping the types moved the offsets')
  const comments: { start: number; end: number }[] = []
  const program = parse(stripped, {
    ecmaVersion: 'latest',
    sourceType: 'module',
    allowHashBang: true,
    onComment: (_block, _text, start, end) => comments.push({ start, end }),
  })
  let code = stripped
  for (const { start, end } of comments)
    code = code.slice(0, start) + ' '.repeat(end - start) + code.slice(end)
  return { program: program as AnyNode, code }
}

/** Calls `see` with each node and its parents, the outermost first. */
export function walk(root: AnyNode, see: (node: AnyNode, parents: readonly AnyNode[]) => void) {
  const visit = (node: AnyNode, parents: readonly AnyNode[]) => {
    see(node, parents)
    const below = [...parents, node]
    for (const value of Object.values(node)) {
      if (isNode(value)) visit(value, below)
      else if (Array.isArray(value)) for (const one of value) if (isNode(one)) visit(one, below)
    }
  }
  visit(root, [])
}

function isNode(value: unknown): value is AnyNode {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value
}
