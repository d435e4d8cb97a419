/**
 * Makes text of a stranger safe to print in one line: no control characters (a heading must not paint the terminal),
 * no invisible or direction-changing ones, whitespace collapsed, length bounded.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}]+/gu

/** @param maxLength in UTF-16 units; default 200. */
export function plainText(text: string, maxLength = 200): string {
  // cut first: what lies far beyond the limit need not be looked at
  const line = text
    .slice(0, maxLength * 8)
    .replaceAll(/[\t\n\v\f\r]/g, ' ')
    .replaceAll(UNPRINTABLE, '')
    .replaceAll(/\s+/g, ' ')
    .trim()
  if (line.length <= maxLength) return line
  return `${line.slice(0, maxLength - 1).replace(/[\uD800-\uDBFF]$/, '')}…`
}
