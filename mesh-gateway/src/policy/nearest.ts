/** The name somebody probably meant. */

/**
 * The candidate that is fewest edits away, or that it begins; null when none is near enough to be meant.
 * @param most edits. Default one for each three letters
 */
export function nearest(
  name: string,
  candidates: Iterable<string>,
  most: number = Math.max(1, Math.floor(Math.min(name.length, 40) / 3)),
): string | null {
  let best: string | null = null
  let bestDistance = most + 1
  for (const candidate of candidates) {
    if (name.length > 2 && candidate.startsWith(name)) return candidate
    if (Math.abs(candidate.length - name.length) >= bestDistance) continue
    const distance = edits(name.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** Letters inserted, left out, replaced, or swapped with their neighbour. */
function edits(a: string, b: string): number {
  let before: readonly number[] = []
  let row: readonly number[] = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      next.push(
        Math.min(
          (row[j] ?? 0) + 1,
          (next[j - 1] ?? 0) + 1,
          replaced,
          swapped ? (before[j - 2] ?? 0) + 1 : replaced,
        ),
      )
    }
    before = row
    row = next
  }
  return row[b.length] ?? 0
}
