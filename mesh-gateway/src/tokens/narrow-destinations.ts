/** Narrows sets of destinations, as host patterns. Pure. A set is only ever made narrower. */
import { MeshError } from '@clawmesh/proto'
import { type DestinationSet, destinationSet, includes, within } from '../net/destination-set.ts'
import { formatHostPattern, parseHostPattern } from '../net/host-pattern.ts'

export interface Narrowed {
  /** In canonical form, without doubles. */
  readonly within: readonly string[]
  /** What was wanted and is not wholly allowed, as it was written. */
  readonly outside: readonly string[]
  /** What was wanted and is no host pattern, with the reason. */
  readonly invalid: readonly string[]
}

/** Comparisons of wide patterns with what is allowed, at most. */
const MAX_COMPARED = 200_000

/**
 * What of `wanted` lies within `allowed`; of a pattern that is wider than what is allowed, the part that is.
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
