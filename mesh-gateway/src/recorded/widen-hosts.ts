/** Replaces many hosts below one parent by `*.parent`, when an operator requests it. */
import { isIP } from 'node:net'
import { type EgressUse, mergeUses } from './egress-uses.ts'

/**
 * @param atLeast hosts directly below a parent, of one agent and on one port
 * @param refused hosts that a deny rule or the address rules refused: no wildcard may include them
 */
export function widenHosts(
  uses: readonly EgressUse[],
  atLeast: number,
  refused: readonly string[],
): EgressUse[] {
  const groups = new Map<string, EgressUse[]>()
  for (const use of uses) {
    const key = `${use.agent.tenant}/${use.agent.agent} ${use.port}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [use])
    else group.push(use)
  }
  return [...groups.values()].flatMap((group) => widenGroup(group, atLeast, refused))
}

function widenGroup(
  group: readonly EgressUse[],
  atLeast: number,
  refused: readonly string[],
): EgressUse[] {
  const children = new Map<string, number>()
  for (const { host } of group) {
    const parent = host.slice(host.indexOf('.') + 1)
    // never *.com
    if (isIP(host) === 0 && parent !== host && parent.includes('.'))
      children.set(parent, (children.get(parent) ?? 0) + 1)
  }
  const parents = [...children]
    .filter(([, count]) => count >= atLeast)
    .map(([parent]) => parent)
    .filter((parent) => !refused.some((host) => host.endsWith(`.${parent}`)))
    .sort((a, b) => a.length - b.length)
  let left = [...group]
  const widened: EgressUse[] = []
  for (const parent of parents) {
    const below = left.filter(({ host }) => host.endsWith(`.${parent}`))
    const merged = mergeUses(below, parent)
    if (merged === null) continue
    widened.push(merged)
    left = left.filter((use) => !below.includes(use))
  }
  return [...left, ...widened]
}
