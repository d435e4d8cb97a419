/**
 * Which regular expressions are cheap on a short text, whatever the text is, so that no clock has to watch them: with one
 * choice of how much to take at most, and no choice within a group, the work grows with the square of the length alone.
 */

/** A class of characters, an escape of one character: each takes one character and leaves no choice. */
const ESCAPE = /\\(?:[pPu]\{[^}]*\}|.)/gs
const CLASS = /\[[^\]]*\]/g
const OPENING = /\(\?(?:[:=!]|<[=!]|<\w+>)/g
const EXACT = /\{\d+\}/g
const LAZY = /([*+?}])\?/g
const CHOICE = /[*+?]|\{\d+,\d*\}/g

/** False for what is not known to be cheap. */
export function isCheapPattern(pattern: string): boolean {
  if (/\\[1-9k]/.test(pattern)) return false
  const bare = pattern
    .replace(ESCAPE, 'e')
    .replace(CLASS, 'c')
    .replace(OPENING, '(')
    .replace(EXACT, (_, at: number, whole: string) => (whole[at - 1] === ')' ? '*' : ''))
    .replace(LAZY, '$1')
  if (/\)[*+?{]/.test(bare) || (bare.includes('(') && bare.includes('|'))) return false
  return (bare.match(CHOICE) ?? []).length <= 1
}
