/**
 * Finds faults between the parts of a file, which a schema cannot see. Works on the raw value, so that these faults are
 * reported together with those of the schema.
 */

import { parseSelector, type Selector } from '../compile/selector.ts'
import { valueAt } from './issue-in-words.ts'
import type { SchemaFault } from './schema-faults.ts'

type Check = (selector: Selector) => string | null

/** @param tenant from the file name */
export function tenantFaults(value: unknown, tenant: string): SchemaFault[] {
  const own = at(value, 'tenant')
  const named =
    typeof own === 'string' && own !== tenant
      ? [{ pointer: '/tenant', message: `must be the name of the file, ${JSON.stringify(tenant)}` }]
      : []
  const isOwn: Check = (selector) =>
    selector.tenant === null || selector.tenant === tenant
      ? null
      : `is of another tenant; here stands an agent of ${tenant}`
  const isForeign: Check = (selector) =>
    selector.tenant !== null && selector.tenant !== tenant
      ? null
      : 'must name another tenant, e.g. globex/planner or globex/*; calls within the tenant need no accept'
  const anyone: Check = () => null
  return [
    ...named,
    ...ruleFaults(value, 'allow', isOwn, anyone),
    ...ruleFaults(value, 'accept', isForeign, isOwn),
    ...burstFaults(value),
  ]
}

/** In `_global.json` a selector must name its tenant. */
export function globalFaults(value: unknown): SchemaFault[] {
  const named = (selector: Selector) =>
    selector.tenant !== null || selector.agent === '*' ? null : 'must name the tenant: tenant/agent'
  return [
    ...ruleFaults(value, 'deny', named, named),
    ...openRangeFaults(value),
    ...outerNameFaults(value),
  ]
}

function openRangeFaults(value: unknown): SchemaFault[] {
  const ranges = at(at(value, 'egress'), 'allowCidrs')
  if (!Array.isArray(ranges)) return []
  return ranges.flatMap((range: unknown, index) =>
    typeof range === 'string' && range.endsWith('/0')
      ? [
          {
            pointer: `/egress/allowCidrs/${index}`,
            message: `${JSON.stringify(range)} opens loopback and metadata services to every agent; name the ranges that are needed`,
          },
        ]
      : [],
  )
}

function outerNameFaults(value: unknown): SchemaFault[] {
  const tls = at(at(value, 'egress'), 'tls')
  const names = at(tls, 'echOuterNames')
  if (at(tls, 'ech') !== 'refuse' || !Array.isArray(names) || names.length === 0) return []
  const message = 'has no effect where "ech" is "refuse"'
  return [{ pointer: '/egress/tls/echOuterNames', message }]
}

function ruleFaults(value: unknown, list: string, from: Check, to: Check): SchemaFault[] {
  const rules = at(at(value, 'delegation'), list)
  if (!Array.isArray(rules)) return []
  return rules.flatMap((rule: unknown, index) =>
    [
      { key: 'from', check: from },
      { key: 'to', check: to },
    ].flatMap(({ key, check }) => {
      const text = at(rule, key)
      const selector = typeof text === 'string' ? parseSelector(text) : ''
      const what = typeof selector === 'string' ? null : check(selector)
      if (what === null) return []
      const message = `${JSON.stringify(text)} ${what}`
      return [{ pointer: `/delegation/${list}/${index}/${key}`, message }]
    }),
  )
}

function burstFaults(value: unknown): SchemaFault[] {
  const egress = at(value, 'egress')
  const rate = at(at(egress, 'limits'), 'requestsPerMinute')
  const lonely = (limits: unknown, pointer: string): SchemaFault[] =>
    at(limits, 'burst') === undefined || at(limits, 'requestsPerMinute') !== undefined
      ? []
      : [{ pointer: `${pointer}/burst`, message: 'has no effect without requestsPerMinute' }]
  const own = [
    ...lonely(at(egress, 'limits'), '/egress/limits'),
    ...lonely(at(egress, 'tenantLimits'), '/egress/tenantLimits'),
  ]
  const agents = at(egress, 'agents')
  if (typeof agents !== 'object' || agents === null || rate !== undefined) return own
  const theirs = Object.entries(agents).flatMap(([name, agent]: [string, unknown]) =>
    lonely(at(agent, 'limits'), `/egress/agents/${name}/limits`),
  )
  return [...own, ...theirs]
}

function at(value: unknown, key: string): unknown {
  return valueAt(value, [key])
}
