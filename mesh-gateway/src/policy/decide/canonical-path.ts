/**
 * The canonical form of a path (RFC 3986, section 6.2.2), for path rules and for the requests that they judge. One
 * function makes both, so that a rule matches its paths in every spelling.
 */

const UNRESERVED = /[A-Za-z0-9._~-]/
/** Paths that servers read in two ways: encoded separators, empty segments, dot segments, backslashes, controls. */
const AMBIGUOUS = /\\|\/\/|\/\.{1,2}(?:[/;]|%3B|$)|%(?:2F|5C|00)|[\p{Cc}\s]/u
/** The usual path: segments of safe characters that do not begin with a dot. It is already canonical. */
const PLAIN_PATH = /^(?:\/[\w~!$&'()*+,:=@-][\w.~!$&'()*+,:=@-]*)*\/?$/
const BEYOND_ASCII = /[\u0080-\uffff]/
/** Characters that RFC 3986 does not allow unescaped in a path, and that clients send all the same. */
const UNSAFE = /["<>[\]^`{|}]/g
/** Separators and dots that are encoded twice: a server that decodes twice reads them differently. */
const TWICE_ENCODED = /%25(?:2E|2F|5C|00|25)/i
const ESCAPED_CONTROL = /%(?:[01][0-9A-F]|7F)|%C2%[89][0-9A-F]/
/** UTF-8 in more bytes than needed (RFC 3629, section 3), which some servers read as a slash or a dot. */
const OVERLONG = /%C[01]|%E0%[89]|%F0%8/

/** Why a path has no canonical form. */
export type PathFault =
  | 'relative'
  | 'beyond-ascii'
  | 'broken-escape'
  | 'ambiguous'
  | 'control'
  | 'overlong'

/** What is wrong, as the end of a sentence that begins with the path. */
export const PATH_FAULTS: Readonly<Record<PathFault, string>> = Object.freeze({
  relative: 'does not begin with /',
  'beyond-ascii': 'holds a byte above 0x7F as it is; escape it as UTF-8, é as %C3%A9',
  'broken-escape': 'holds a % that two hexadecimal digits do not follow',
  ambiguous: 'is ambiguous: no //, /./, /../, \\ or encoded slashes',
  control: 'holds a control character or a blank; escaped control characters count too',
  overlong: 'holds bytes that are not UTF-8, by which some servers read a slash or a dot',
})

export type CanonicalPath =
  | { readonly path: string; readonly fault: null }
  | { readonly path: null; readonly fault: PathFault }

/**
 * The path as path rules see it: without its query, escapes of unreserved characters decoded, other escapes in upper
 * case, unsafe characters escaped. A path that servers may read in different ways has no canonical form.
 * @param text for a request, one character per byte; for a rule, the result of `escapeBeyondAscii`
 */
export function canonicalPath(text: string): CanonicalPath {
  if (PLAIN_PATH.test(text) && text !== '') return { path: text, fault: null }
  const bare = withoutQuery(text)
  if (!bare.startsWith('/')) return no('relative')
  if (BEYOND_ASCII.test(bare)) return no('beyond-ascii')
  if (/[\p{Cc}\s]/u.test(bare)) return no('control')
  const undone = undoEscapes(bare)
  if (undone === null) return no('broken-escape')
  if (AMBIGUOUS.test(undone) || TWICE_ENCODED.test(undone)) return no('ambiguous')
  if (ESCAPED_CONTROL.test(undone)) return no('control')
  if (OVERLONG.test(undone)) return no('overlong')
  return { path: undone.replace(UNSAFE, escapeCharacter), fault: null }
}

/** Escapes non-ASCII characters as UTF-8; null when the text contains half of a surrogate pair. */
export function escapeBeyondAscii(text: string): string | null {
  if (!BEYOND_ASCII.test(text)) return text
  return text.isWellFormed() ? text.replace(/[\u0080-\u{10ffff}]+/gu, encodeURIComponent) : null
}

function undoEscapes(bare: string): string | null {
  if (!bare.includes('%')) return bare
  if (/%(?![0-9A-Fa-f]{2})/.test(bare)) return null
  return bare.replace(/%[0-9A-Fa-f]{2}/g, (escaped) => {
    const character = String.fromCharCode(Number.parseInt(escaped.slice(1), 16))
    return UNRESERVED.test(character) ? character : escaped.toUpperCase()
  })
}

function withoutQuery(path: string): string {
  const query = path.search(/[?#]/)
  return query === -1 ? path : path.slice(0, query)
}

function escapeCharacter(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`
}

function no(fault: PathFault): CanonicalPath {
  return { path: null, fault }
}
