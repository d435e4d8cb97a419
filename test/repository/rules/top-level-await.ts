/**
 * Hosts load a plugin by `require()`, which fails when anything in its static imports awaits (ERR_REQUIRE_ASYNC_MODULE). So
 * nothing that a plugin may import awaits at the top of a module.
 */
import type { AnyNode } from 'acorn'
import { isTypeScript, type SourceFile } from '../repository-files.ts'
import { childrenOf, isFunction, syntaxTree } from '../syntax-tree.ts'

const LOADED_BY_HOSTS = /^(?:proto|agent-sdk|openclaw-plugin)\/src\/|^mesh-agent\/src\/(?!cli\/)/

export function topLevelAwaitFaults({ path, text }: SourceFile): string[] {
  if (!LOADED_BY_HOSTS.test(path) || !isTypeScript(path)) return []
  const faults: string[] = []
  const visit = (node: AnyNode): void => {
    if (isFunction(node) || node.type === 'PropertyDefinition') return
    const awaits =
      node.type === 'AwaitExpression' || (node.type === 'ForOfStatement' && node.await === true)
    if (awaits) faults.push(`${path}:${node.loc?.start.line ?? 0}: awaits at the top of a module`)
    for (const child of childrenOf(node)) visit(child)
  }
  visit(syntaxTree(text))
  return faults
}
