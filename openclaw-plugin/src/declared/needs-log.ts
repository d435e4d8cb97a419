/**
 * Tells the operator what skills declare: at first all of it, later what has come to it. An agent that can write files can write a
 * skill, so what it may reach never becomes more in silence.
 */
import type { Log } from '@clawmesh/agent-sdk'
import { BY_CONFIGURATION, type Declared } from './declarations.ts'

export interface NeedsLog {
  tell(declared: Declared, log: Pick<Log, 'info' | 'warn'>): void
}

export function createNeedsLog(): NeedsLog {
  let told: ReadonlySet<string> | null = null
  return {
    tell(declared, log) {
      const needs = needsOf(declared)
      const before = told
      told = new Set(needs)
      const fresh = needs.filter((need) => before?.has(need) !== true)
      if (fresh.length === 0) return
      if (before === null) log.info({}, `skills declare ${fresh.join('; ')}`)
      else log.warn({}, `skills declare more than before: ${fresh.join('; ')}`)
    },
  }
}

/** Of names that the configuration does not declare as well. */
function needsOf({ peers, hosts }: Declared): readonly string[] {
  const words = (what: string, names: Declared['peers']) =>
    [...names].flatMap(([name, by]) =>
      by.includes(BY_CONFIGURATION) ? [] : [`the ${what} ${name} (${by.join(', ')})`],
    )
  return [...words('peer', peers), ...words('host', hosts)]
}
