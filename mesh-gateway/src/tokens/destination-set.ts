/** A set of host patterns, found by look-up: what policy allows an agent may be thousands of them. */
import { type HostPattern, parseHostPattern } from '../net/host-pattern.ts'

export interface DestinationSet {
  readonly patterns: readonly HostPattern[]
  /** Ports by host, UNNAMED for 80 and 443. */
  readonly exact: ReadonlyMap<string, ReadonlySet<number>>
  /** As `exact`, of what stands below a host. */
  readonly below: ReadonlyMap<string, ReadonlySet<number>>
}

const UNNAMED = 0

/** What is no host pattern is left out. */
export function destinationSet(texts: readonly string[]): DestinationSet {
  const patterns = texts.map(parseHostPattern).filter((one) => typeof one !== 'string')
  const exact = new Map<string, Set<number>>()
  const below = new Map<string, Set<number>>()
  for (const { host, wildcard, port } of patterns) {
    const map = wildcard ? below : exact
    const ports = map.get(host) ?? new Set()
    map.set(host, ports.add(port ?? UNNAMED))
  }
  return { patterns, exact, below }
}

/** True when one of the set leaves nothing of the pattern out. */
export function includes({ exact, below }: DestinationSet, pattern: HostPattern): boolean {
  const { host, wildcard, port } = pattern
  if (!wildcard && hasPort(exact.get(host), port)) return true
  if (below.size === 0) return false
  if (wildcard && hasPort(below.get(host), port)) return true
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1))
    if (hasPort(below.get(host.slice(dot + 1)), port)) return true
  return false
}

/** Those of the set that lie within the pattern. A pattern with a wildcard is compared with each. */
export function within({ patterns, exact }: DestinationSet, outer: HostPattern): HostPattern[] {
  const { host, wildcard } = outer
  if (wildcard)
    return patterns.filter(
      (inner) =>
        portCovers(outer.port, inner.port) &&
        (inner.host.endsWith(`.${host}`) || (inner.wildcard && inner.host === host)),
    )
  return [...(exact.get(host) ?? [])]
    .map((port) => (port === UNNAMED ? null : port))
    .filter((port) => portCovers(outer.port, port))
    .map((port) => ({ host, wildcard, port }))
}

function hasPort(ports: ReadonlySet<number> | undefined, port: number | null): boolean {
  if (ports === undefined) return false
  return ports.has(port ?? UNNAMED) || (ports.has(UNNAMED) && (port === 80 || port === 443))
}

/** Without a port a pattern means 80 and 443. */
function portCovers(outer: number | null, inner: number | null): boolean {
  return outer === inner || (outer === null && (inner === 80 || inner === 443))
}
