/** Counts words, and finds the terms that a document uses most. */
export interface Term {
  readonly term: string
  readonly count: number
}

const WORD = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu
const COMMON: ReadonlySet<string> = new Set(
  `about above after again against all also am an and any are aren't as at be because been before being below between
   both but by can can't cannot could did do does doing don't down during each else every few for from further get had
   has have having he her here hers him his how if in into is isn't it it's its itself just let made make makes many may
   me might more most must my no nor not now of off on once one only onto or other our ours out over own per same she
   should so some such than that that's the their theirs them then there these they this those through to too two under
   until up upon us use used uses using very via was we were what when where which while who whom whose why will with
   within without would yes yet you your yours`.split(/\s+/),
)

export function countWords(text: string): number {
  let count = 0
  for (const _ of text.matchAll(WORD)) count += 1
  return count
}

/** The words used most, but for the common ones of English, short ones and bare numbers; most used first, then by alphabet. */
export function mostUsed(text: string, howMany: number): Term[] {
  const counts = new Map<string, number>()
  for (const [word] of text.matchAll(WORD)) {
    const term = word.slice(0, 40).toLowerCase().replaceAll('’', "'")
    if (term.length < 3 || COMMON.has(term) || /^[\d-]+$/.test(term)) continue
    counts.set(term, (counts.get(term) ?? 0) + 1)
  }
  return [...counts]
    .map(([term, count]) => ({ term, count }))
    .sort((a, b) => b.count - a.count || (a.term < b.term ? -1 : 1))
    .slice(0, howMany)
}
