/** Parses the selectors of delegation rules: agents (`planner`, `*`, `globex/translator`, `globex/*`) and methods. */
import { isDnsLabel } from '@clawmesh/proto'

const METHOD = /^(?:\*|[A-Za-z_][\w.]*\/(?:\*|[A-Za-z_]\w*))$/

export interface Selector {
  /** Null in `planner` and `*`: the tenant of the file is meant. */
  readonly tenant: string | null
  /** `*` is any. */
  readonly agent: string
}

/** The selector, or a sentence that says what is wrong with it. */
export function parseSelector(text: string): Selector | string {
  const [first = '', second, ...rest] = text.split('/')
  if (text.includes('://')) return 'is a URI; write tenant/agent'
  if (rest.length > 0) return 'has more than one slash; write tenant/agent'
  if (text.includes('.')) return 'is a host name; write the agent, or tenant/agent'
  const [tenant, agent] = second === undefined ? [null, first] : [first, second]
  if (tenant === '*') return 'leaves the tenant open; name it: tenant/*'
  const labels = [...(tenant === null ? [] : [tenant]), ...(agent === '*' ? [] : [agent])]
  if (!labels.every(isDnsLabel))
    return 'is not an agent; names are lower-case letters, digits and hyphens, and * stands alone'
  return { tenant, agent }
}

/** What is wrong with a method pattern, or null: `*`, `package.Service/*`, `package.Service/Method`. */
export function methodFault(text: string): string | null {
  if (METHOD.test(text)) return null
  if (text.startsWith('/')) return 'begins with a slash; write package.Service/Method'
  if (!text.includes('/'))
    return 'names no service; write package.Service/Method, package.Service/* or *'
  return 'is not package.Service/Method, package.Service/* or *'
}

export function methodMatches(patterns: readonly string[] | null, method: string): boolean {
  if (patterns === null) return true
  for (const pattern of patterns) {
    if (pattern === '*' || pattern === method) return true
    if (pattern.endsWith('/*') && method.startsWith(pattern.slice(0, -1))) return true
  }
  return false
}

/** Patterns that match exactly what both match. Null is any method. */
export function intersectMethods(
  a: readonly string[] | null,
  b: readonly string[] | null,
): readonly string[] | null {
  if (a === null || a.includes('*')) return b
  if (b === null || b.includes('*')) return a
  const inB = within(a, new Set(b))
  const inA = within(b, new Set(a))
  return [...new Set([...inB, ...inA])]
}

/** The patterns that equal one of the others, or are within one. */
function within(patterns: readonly string[], others: ReadonlySet<string>): string[] {
  return patterns.filter(
    (pattern) =>
      others.has(pattern) || others.has(`${pattern.slice(0, pattern.indexOf('/') + 1)}*`),
  )
}
