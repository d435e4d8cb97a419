/**
 * The switch of all changes to the inside of Node in this folder. Each of them works around a cost or a fault of one
 * Node, and leaves Node unchanged where it does not look as expected. The switch turns them all off, to find out whether
 * a fault is theirs. docs/decisions/patches-of-node.md
 */

/** The variable that turns them off, with the value 1. */
export const NO_NODE_PATCHES = 'MESH_NO_NODE_PATCHES'

/** False: Node stays as it is. */
export function patchesNode(
  env: Readonly<Record<string, string | undefined>> = process.env,
): boolean {
  return env[NO_NODE_PATCHES] !== '1'
}
