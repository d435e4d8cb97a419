/**
 * Path globs: `*` is anything within a segment, `**` anything at all, everything else itself, case included.
 * Matching takes time proportional to the path: no path, however made, holds up the gateway.
 */
export interface PathGlob {
  readonly text: string
  matches(path: string): boolean
}

const MAX_LENGTH = 512
const MAX_WILDCARDS = 8
const UNRESERVED = /[A-Za-z0-9._~-]/
/** Two ways for servers to read it: encoded separators, empty segments, dot segments, backslashes, controls. */
const AMBIGUOUS = /\\|\/\/|\/\.{1,2}(?:[/;]|%3B|$)|%(?:2F|5C|00)|[\p{Cc}\s]/u

/** The glob, or a sentence saying why it is none. */
export function parsePathGlob(text: string): PathGlob | string {
  if (!text.startsWith('/')) return 'does not begin with /'
  if (text.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`
  if (/[?#]/.test(text)) return 'holds a query or fragment; rules see the path alone'
  if (text.includes('***')) return 'holds ***; * is within a segment, ** across segments'
  const canonical = normalisePath(text)
  if (canonical === null) return 'is ambiguous: no //, /./, /../, \\ or encoded slash'
  const tokens = canonical.match(/\*\*|\*|[^*]+/g) ?? []
  const [first = '', second, ...rest] = tokens
  if (tokens.filter(isWildcard).length > MAX_WILDCARDS)
    return `has more than ${MAX_WILDCARDS} wildcards`
  if (second === undefined) return { text, matches: (path) => path === canonical }
  if (second === '**' && rest.length === 0)
    return { text, matches: (path) => path.startsWith(first) }
  return { text, matches: (path) => path.startsWith(first) && matchTokens(tokens, path) }
}

/**
 * The path without its query, escapes of unreserved characters undone (RFC 3986, section 6.2.2.2).
 * Null when two servers could read it differently: no rule with paths matches such a one.
 */
export function normalisePath(path: string): string | null {
  const query = path.search(/[?#]/)
  const bare = query === -1 ? path : path.slice(0, query)
  if (!bare.startsWith('/')) return null
  if (!bare.includes('%')) return AMBIGUOUS.test(bare) ? null : bare
  if (/%(?![0-9A-Fa-f]{2})/.test(bare)) return null
  const normal = bare.replace(/%[0-9A-Fa-f]{2}/g, (escaped) => {
    const character = String.fromCharCode(Number.parseInt(escaped.slice(1), 16))
    return UNRESERVED.test(character) ? character : escaped.toUpperCase()
  })
  return AMBIGUOUS.test(normal) ? null : normal
}

/** For each token in turn, the set of places in the path where it may end: a wildcard widens it, a literal thins it out. */
function matchTokens(tokens: readonly string[], path: string): boolean {
  let ends = new Uint8Array(path.length + 1)
  ends[0] = 1
  for (const token of tokens) {
    const next = new Uint8Array(path.length + 1)
    if (isWildcard(token)) {
      let open = false
      for (let at = 0; at <= path.length; at += 1) {
        if (token === '*' && at > 0 && path[at - 1] === '/') open = false
        if (ends[at] === 1) open = true
        if (open) next[at] = 1
      }
    } else {
      let at = path.indexOf(token)
      while (at !== -1) {
        if (ends[at] === 1) next[at + token.length] = 1
        at = path.indexOf(token, at + 1)
      }
    }
    ends = next
  }
  return ends[path.length] === 1
}

function isWildcard(token: string): boolean {
  return token === '*' || token === '**'
}
