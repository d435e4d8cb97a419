/** Collects the recorded destinations by agent and kind of request, and makes the narrowest rules that allow them. */
import type { Peer } from '@clawmesh/proto'
import { formatHostPattern } from '../net/host-pattern.ts'
import { parsePathGlob } from '../policy/compile/path-glob.ts'
import { canonicalPath } from '../policy/decide/canonical-path.ts'
import type { EgressRuleDocument } from '../policy/read/schema.ts'
import type { EgressCase } from './recorded-case.ts'

export interface EgressUse {
  readonly agent: Peer
  readonly host: string
  readonly port: number
  /** The number of records. */
  count: number
  /** Methods by path. Null: unknown for a record, or no rule can express it; then the rule is the host alone. */
  requests: Map<string, Set<string>> | null
  /** False: no rule can express all the paths, or they are too many. */
  paths: boolean
}

export type EgressRule = string | EgressRuleDocument

/** With more paths they probably contain ids, and will be others tomorrow. */
export const MAX_PATHS = 200
const METHOD = /^[A-Z]+(?:-[A-Z]+)*$/
const ANY_PATH = ''

export function useKey(agent: Peer, host: string, port: number): string {
  return `${agent.tenant}/${agent.agent} ${host} ${port}`
}

export function newUse(agent: Peer, host: string, port: number): EgressUse {
  return { agent, host, port, count: 0, requests: new Map(), paths: true }
}

export function addRequest(use: EgressUse, request: EgressCase['question']['request']): void {
  use.count += 1
  if (use.requests === null) return
  const expressible = request !== null && request.override == null && METHOD.test(request.method)
  if (!expressible || request.method === 'CONNECT') {
    use.requests = null
    return
  }
  const path = use.paths && isExact(request.path) ? request.path : ANY_PATH
  addMethod(use.requests, path, request.method)
  if (use.paths && (path === ANY_PATH || use.requests.size > MAX_PATHS)) withoutPaths(use)
}

/** Merges uses into one at a wildcard; the paths of its hosts are no longer told apart. */
export function mergeUses(uses: readonly EgressUse[], parent: string): EgressUse | null {
  const [first] = uses
  if (first === undefined) return null
  const merged = newUse(first.agent, `*.${parent}`, first.port)
  for (const { requests, count } of uses) {
    merged.count += count
    if (requests === null) merged.requests = null
    else if (merged.requests !== null)
      for (const methods of requests.values())
        for (const method of methods) addMethod(merged.requests, ANY_PATH, method)
  }
  merged.paths = false
  return merged
}

/** None of the rules can be omitted. The port is always given: without it the rule would mean two. */
export function rulesOf({ host, port, requests, paths }: EgressUse): EgressRule[] {
  const wildcard = host.startsWith('*.')
  const bare = wildcard ? host.slice(2) : host
  const pattern = formatHostPattern({ host: bare, wildcard, port })
  if (requests === null) return [pattern]
  // paths with the same methods share a rule: one rule for all would allow more
  const byMethods = new Map<string, { methods: string[]; paths: string[] }>()
  for (const [path, methods] of requests) {
    const sorted = [...methods].sort()
    const key = sorted.join(' ')
    const group = byMethods.get(key) ?? { methods: sorted, paths: [] }
    group.paths.push(path)
    byMethods.set(key, group)
  }
  return [...byMethods.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, group]) => ({
      host: pattern,
      methods: group.methods,
      ...(paths ? { paths: group.paths.sort() } : {}),
    }))
}

function withoutPaths(use: EgressUse): void {
  const methods = [...(use.requests?.values() ?? [])].flatMap((set) => [...set])
  use.requests = new Map([[ANY_PATH, new Set(methods)]])
  use.paths = false
}

function addMethod(requests: Map<string, Set<string>>, path: string, method: string): void {
  const methods = requests.get(path)
  if (methods === undefined) requests.set(path, new Set([method]))
  else methods.add(method)
}

/** True for a path that a rule can name exactly. */
function isExact(path: string): boolean {
  if (path.includes('*') || canonicalPath(path).fault !== null) return false
  return typeof parsePathGlob(path) !== 'string'
}
