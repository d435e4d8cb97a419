/** Which callers a skill serves, and with which tools. Names come from the caller's certificate. */
import type { AgentIdentity } from '@clawmesh/agent-sdk'
import type { ServedSkill } from '../config/plugin-config.ts'

/** Tools of a turn for that caller; null when it is not served. */
export function toolsFor(
  caller: AgentIdentity,
  skill: ServedSkill,
  ownTenant: string,
): readonly string[] | null {
  const rule = skill.callers.find((each) => fits(each.caller, caller, ownTenant))
  return rule === undefined ? null : (rule.tools ?? skill.tools)
}

/** `planner` is of the own tenant. */
function fits(pattern: string, { tenant, agent }: AgentIdentity, ownTenant: string): boolean {
  if (pattern === '*') return true
  const [ofTenant, name] = pattern.includes('/') ? pattern.split('/') : [ownTenant, pattern]
  return ofTenant === tenant && (name === '*' || name === agent)
}
