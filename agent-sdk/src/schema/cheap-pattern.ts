/**
 * Which regular expressions are cheap on a short text, whatever the text is, so that no clock has to watch them: with one
 * choice of how much to take at most, no choice within a group, and little beside the choice, the work grows with the square of
 * the length alone.
 */

/** A class of characters, an escape of one character: each takes one character and leaves no choice. */
const ESCAPE = /\\(?:[pPu]\{[^}]*\}|.)/gs
const CLASS = /\[[^\]]*\]/g
const OPENING = /\(\?(?:[:=!]|<[=!]|<\w+>)/g
const EXACT = /\{\d+\}/g
const LAZY = /([*+?}])\?/g
const CHOICE = /[*+?]|\{\d+,\d*\}/g
/** These take no character. */
const NO_WIDTH = /[()^$|]/g
/** Beside a choice so many characters may be fixed: they are compared anew for each way to choose. */
const MOST_FIXED = 8

/** False for what is not known to be cheap. */
export function isCheapPattern(pattern: string): boolean {
  if (/\\[1-9k]/.test(pattern)) return false
  let repeated = 0
  const bare = pattern
    .replace(ESCAPE, 'e')
    .replace(CLASS, 'c')
    .replace(OPENING, '(')
    .replace(EXACT, (count, at: number, whole: string) => {
      repeated += Number(count.slice(1, -1))
      return whole[at - 1] === ')' ? '*' : ''
    })
    .replace(LAZY, '$1')
  if (/\)[*+?{]/.test(bare) || (bare.includes('(') && bare.includes('|'))) return false
  const choices = (bare.match(CHOICE) ?? []).length
  const fixed = bare.replace(CHOICE, '').replace(NO_WIDTH, '').length + repeated
  return choices === 0 || (choices === 1 && fixed <= MOST_FIXED)
}
