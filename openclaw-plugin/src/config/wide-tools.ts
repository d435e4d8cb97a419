/** Says which tools that callers have reach beyond their tasks. */
import { reachOf } from '@clawmesh/agent/served-tools'
import type { PluginConfig } from './plugin-config.ts'

/** One sentence for the operator; null when there are none. */
export function wideTools({ serve }: Pick<PluginConfig, 'serve'>): string | null {
  const reaches = new Map<string, Set<string>>()
  for (const [skill, { tools, callers }] of Object.entries(serve))
    for (const tool of [...tools, ...callers.flatMap((rule) => rule.tools ?? [])]) {
      const reach = reachOf(tool)
      if (reach === null) continue
      const named = reaches.get(reach.does) ?? new Set<string>()
      reaches.set(reach.does, named.add(`${tool} of ${skill}`))
    }
  if (reaches.size === 0) return null
  const words = [...reaches].map(([does, names]) => `${[...names].join(', ')} ${does}`)
  return `callers have tools that reach beyond their tasks: ${words.join('; ')}`
}
