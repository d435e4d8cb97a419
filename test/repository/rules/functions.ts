/** Functions are short. A limit on files alone drives the length of the code into closures. */
import type { AnyNode } from 'acorn'
import { isTypeScript, packageOf, type SourceFile } from '../repository-files.ts'
import { childrenOf, isFunction, syntaxTree } from '../syntax-tree.ts'

const MAX_LINES = 80

/**
 * The composition root: one list of parts, each with what it is given, in the order in which they open. In pieces, the
 * parts would be handed from piece to piece.
 */
const LONGER: readonly string[] = ['mesh-gateway/src/gateway.ts: createGateway']

export function functionFaults({ path, text }: SourceFile): string[] {
  if (packageOf(path) === null || !isTypeScript(path)) return []
  const faults: string[] = []
  const visit = (node: AnyNode, name: string): void => {
    if (isFunction(node)) {
      const { start, end } = node.loc ?? { start: { line: 0 }, end: { line: 0 } }
      const lines = end.line - start.line + 1
      if (lines > MAX_LINES && !LONGER.includes(`${path}: ${name}`))
        faults.push(`${path}:${start.line}: ${name} has ${lines} lines, more than ${MAX_LINES}`)
    }
    for (const child of childrenOf(node)) visit(child, nameOf(child) ?? name)
  }
  visit(syntaxTree(text), 'the module')
  return faults
}

function nameOf(node: AnyNode): string | null {
  if (node.type === 'FunctionDeclaration') return node.id?.name ?? null
  if (node.type === 'VariableDeclarator') return node.id.type === 'Identifier' ? node.id.name : null
  if (node.type !== 'MethodDefinition' && node.type !== 'Property') return null
  return node.key.type === 'Identifier' ? node.key.name : null
}
