/** Do turns for peers have tools that reach beyond their tasks? */
import { valueAt } from '../json5-text.ts'
import { reachOf } from '../served-tools.ts'
import { PLUGIN } from '../wanted-settings.ts'
import { type CheckResult, type Finding, result } from './finding.ts'

const SERVE = ['plugins', 'entries', PLUGIN, 'config', 'serve']

/** Null when nothing is served. */
export function checkServedTools(config: unknown): CheckResult | null {
  const serve = valueAt(config, SERVE)
  if (typeof serve !== 'object' || serve === null) return null
  const given = Object.entries(serve).flatMap(([skill, settings]) =>
    toolsOf(settings).flatMap((tool) => {
      const reach = reachOf(tool)
      return reach === null ? [] : [{ skill, tool, ...reach }]
    }),
  )
  const findings = given
    .filter(({ refused }) => refused)
    .map(({ skill, tool, does }) => ({
      code: 'served-tool-refused',
      what: `serve.${skill} gives callers ${tool}, which ${does}: the plugin does not use this configuration`,
      todo: `take ${tool} out of serve.${skill}`,
    }))
  return result(
    'served tools',
    'turns for peers stay within their tasks',
    ...findings,
    wideOf(given),
  )
}

function wideOf(
  given: readonly { skill: string; tool: string; refused: boolean; does: string }[],
): Finding | null {
  const wide = given.filter(({ refused }) => !refused)
  if (wide.length === 0) return null
  const words = wide.map(({ skill, tool, does }) => `${tool} of ${skill} ${does}`)
  return {
    code: 'served-tools-wide',
    what: `callers have tools that reach beyond their tasks: ${[...new Set(words)].join('; ')}`,
    todo: 'name such tools only for callers that may have these rights',
    note: true,
  }
}

/** Of the skill, and of its callers. */
function toolsOf(settings: unknown): string[] {
  const callers = valueAt(settings, ['callers'])
  const lists = [settings, ...(Array.isArray(callers) ? callers : [])].map((one: unknown) =>
    valueAt(one, ['tools']),
  )
  return lists.flat().filter((tool) => typeof tool === 'string')
}
