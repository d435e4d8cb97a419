/** A set of host patterns, found by look-up: policy may allow an agent thousands of them. */
import { type HostPattern, parseHostPattern } from './host-pattern.ts'

export interface DestinationSet {
  /** As given. */
  readonly texts: readonly string[]
  readonly patterns: readonly HostPattern[]
  /** Ports by host, UNNAMED for 80 and 443. */
  readonly exact: ReadonlyMap<string, ReadonlySet<number>>
  /** As `exact`, for the hosts below a host. */
  readonly below: ReadonlyMap<string, ReadonlySet<number>>
}

/**
 * In a token of the gateway: whatever policy lets pass. An agent in audit mode gets it, since nobody can list beforehand
 * what such an agent will reach. It is no host pattern, so neither policy nor a token of another issuer may have it.
 */
export const ANY_DESTINATION = '*'

const UNNAMED = 0

/** A text that is no host pattern is only in `texts`. */
export function destinationSet(texts: readonly string[]): DestinationSet {
  const set = new DestinationSetBuilder()
  for (const text of texts) {
    const pattern = parseHostPattern(text)
    if (typeof pattern !== 'string') set.add(text, pattern)
  }
  return { ...set.built(), texts }
}

/** Builds a set from parsed patterns, one by one. */
export class DestinationSetBuilder {
  readonly #texts = new Set<string>()
  readonly #patterns: HostPattern[] = []
  readonly #exact = new Map<string, Set<number>>()
  readonly #below = new Map<string, Set<number>>()

  /** @param text of the pattern; duplicates are ignored */
  add(text: string, pattern: HostPattern): void {
    if (this.#texts.has(text)) return
    this.#texts.add(text)
    this.#patterns.push(pattern)
    const map = pattern.wildcard ? this.#below : this.#exact
    const ports = map.get(pattern.host) ?? new Set()
    map.set(pattern.host, ports.add(pattern.port ?? UNNAMED))
  }

  built(): DestinationSet {
    return Object.freeze({
      texts: Object.freeze([...this.#texts]),
      patterns: this.#patterns,
      exact: this.#exact,
      below: this.#below,
    })
  }
}

/** The texts of a set or a list. */
export function textsOf(destinations: readonly string[] | DestinationSet): readonly string[] {
  return isDestinationSet(destinations) ? destinations.texts : destinations
}

/** Runs for each decision: `in` would search the prototypes of an array. */
export function isDestinationSet(
  destinations: readonly string[] | DestinationSet,
): destinations is DestinationSet {
  return !Array.isArray(destinations)
}

/** True when the set covers the whole pattern. */
export function includes({ exact, below }: DestinationSet, pattern: HostPattern): boolean {
  const { host, wildcard, port } = pattern
  if (!wildcard && hasPort(exact.get(host), port)) return true
  if (below.size === 0) return false
  if (wildcard && hasPort(below.get(host), port)) return true
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1))
    if (hasPort(below.get(host.slice(dot + 1)), port)) return true
  return false
}

/** The patterns of the set that are within this one. A pattern with a wildcard is compared with each. */
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

/** A pattern without a port means 80 and 443. */
function portCovers(outer: number | null, inner: number | null): boolean {
  return outer === inner || (outer === null && (inner === 80 || inner === 443))
}
