/**
 * Parses path globs of policy: `*` matches anything within a segment, `**` anything at all, all else itself,
 * case-sensitive. Does not match them: path-trie.ts matches all globs of a host at once.
 */
import { canonicalPath, escapeBeyondAscii, PATH_FAULTS } from '../decide/canonical-path.ts'

export interface PathGlob {
  /** As written in policy. */
  readonly text: string
  /** In canonical form: `*`, `**`, and the literal text between them. */
  readonly tokens: readonly string[]
}

const MAX_LENGTH = 512
const MAX_WILDCARDS = 8

/** The glob, or a sentence that says what is wrong with it. */
export function parsePathGlob(text: string): PathGlob | string {
  if (!text.startsWith('/')) return 'does not begin with /'
  if (text.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`
  if (/[?#]/.test(text)) return 'holds a query or fragment; rules see the path alone'
  if (text.includes('***')) return 'holds ***; * is within a segment, ** across segments'
  const escaped = escapeBeyondAscii(text)
  if (escaped === null) return 'holds half of a surrogate pair, which no path can hold'
  const { path, fault } = canonicalPath(escaped)
  // a request with such a path matches no rule with paths, so the rule would never match
  if (fault !== null) return PATH_FAULTS[fault]
  const tokens = path.match(/\*\*|\*|[^*]+/g) ?? []
  if (tokens.filter(isWildcard).length > MAX_WILDCARDS)
    return `has more than ${MAX_WILDCARDS} wildcards`
  return { text, tokens }
}

function isWildcard(token: string): boolean {
  return token === '*' || token === '**'
}
