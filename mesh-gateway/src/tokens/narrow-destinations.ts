/** Sets of destinations, as host patterns. Pure. A set is only ever made narrower. */
import { formatHostPattern, type HostPattern, parseHostPattern } from '../net/host-pattern.ts'

export interface Narrowed {
  /** In canonical form, without doubles. */
  readonly within: readonly string[]
  /** What was wanted and is not wholly allowed, as it was written. */
  readonly outside: readonly string[]
  /** What was wanted and is no host pattern, with the reason. */
  readonly invalid: readonly string[]
}

/** What of `wanted` lies within `allowed`; of a pattern that is wider than what is allowed, the part that is. */
export function narrowDestinations(
  wanted: readonly string[],
  allowed: readonly string[],
): Narrowed {
  const limits = allowed.map(parseHostPattern).filter((one) => typeof one !== 'string')
  const within = new Set<string>()
  const outside: string[] = []
  const invalid: string[] = []
  for (const text of wanted) {
    const pattern = parseHostPattern(text)
    if (typeof pattern === 'string') {
      invalid.push(`${JSON.stringify(text.slice(0, 100))} ${pattern}`)
    } else if (limits.some((limit) => covers(limit, pattern))) {
      within.add(formatHostPattern(pattern))
    } else {
      outside.push(text)
      for (const limit of limits) if (covers(pattern, limit)) within.add(formatHostPattern(limit))
    }
  }
  return { within: [...within], outside, invalid }
}

/** Without a port a pattern means 80 and 443. */
function covers(outer: HostPattern, inner: HostPattern): boolean {
  const port =
    outer.port === inner.port || (outer.port === null && (inner.port === 80 || inner.port === 443))
  if (!port) return false
  if (!outer.wildcard) return !inner.wildcard && outer.host === inner.host
  return inner.host.endsWith(`.${outer.host}`) || (inner.wildcard && inner.host === outer.host)
}
