/** Narrows sets of destinations, as host patterns. Pure. Never makes a set wider. */
import { MeshError } from '@clawmesh/proto'
import { type DestinationSet, destinationSet, includes, within } from '../net/destination-set.ts'
import { formatHostPattern, parseHostPattern } from '../net/host-pattern.ts'

export interface Narrowed {
  /** In canonical form, without duplicates. */
  readonly within: readonly string[]
  /** Requested patterns that are not wholly allowed, as written. */
  readonly outside: readonly string[]
  /** Requested texts that are not host patterns, with the reason. */
  readonly invalid: readonly string[]
}

/** Maximum comparisons of wide patterns with the allowed ones. */
const MAX_COMPARED = 200_000

/**
 * The part of `wanted` within `allowed`; for a pattern wider than what is allowed, its allowed part.
 * @throws MeshError MESH_TOKEN_REQUEST_INVALID when too many wide patterns meet a long list
 */
export function narrowDestinations(
  wanted: readonly string[],
  allowed: readonly string[] | DestinationSet,
): Narrowed {
  const limits = 'patterns' in allowed ? allowed : destinationSet(allowed)
  const found = new Set<string>()
  const outside: string[] = []
  const invalid: string[] = []
  let compared = 0
  for (const text of wanted) {
    const pattern = parseHostPattern(text)
    if (typeof pattern === 'string') {
      invalid.push(`${JSON.stringify(text.slice(0, 100))} ${pattern}`)
    } else if (includes(limits, pattern)) {
      found.add(formatHostPattern(pattern))
    } else {
      outside.push(text)
      compared += pattern.wildcard ? limits.patterns.length : 1
      if (compared > MAX_COMPARED) throw tooWide()
      for (const limit of within(limits, pattern)) found.add(formatHostPattern(limit))
    }
  }
  return { within: [...found], outside, invalid }
}

function tooWide(): MeshError {
  return new MeshError('MESH_TOKEN_REQUEST_INVALID', 'too many wide destinations are asked for', {
    hint: 'name hosts in place of wildcards, or fewer of them',
  })
}
