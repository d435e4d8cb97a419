/** Finds the known name that is nearest to a misspelt one. Takes time linear in the lengths: names may come from an attacker. */

/**
 * The candidate that is fewest edits away, or that it begins; null when none is near enough to be meant.
 * @param most edits. Default one for each three letters
 */
export function nearest(
  name: string,
  candidates: Iterable<string>,
  most: number = Math.max(1, Math.floor(Math.min(name.length, 40) / 3)),
): string | null {
  const wanted = name.toLowerCase()
  let best: string | null = null
  let bestDistance = most + 1
  for (const candidate of candidates) {
    if (name.length > 2 && candidate.startsWith(name)) return candidate
    if (Math.abs(candidate.length - name.length) >= bestDistance) continue
    const distance = edits(wanted, candidate.toLowerCase(), bestDistance - 1)
    if (distance >= bestDistance) continue
    best = candidate
    bestDistance = distance
  }
  return best
}

/**
 * Letters inserted, left out, replaced, or swapped with their neighbour; more than `most` when it is more. Only the
 * diagonal band of that width is looked at, and no further once every way through it is too long.
 */
function edits(a: string, b: string, most: number): number {
  const far = most + 1
  let before: Uint16Array = new Uint16Array(b.length + 1).fill(far)
  let row: Uint16Array = new Uint16Array(b.length + 1)
  let next: Uint16Array = new Uint16Array(b.length + 1)
  for (let j = 0; j <= b.length; j += 1) row[j] = Math.min(j, far)
  for (let i = 1; i <= a.length; i += 1) {
    const from = Math.max(1, i - most)
    const to = Math.min(b.length, i + most)
    next[from - 1] = from === 1 ? Math.min(i, far) : far
    let least = next[from - 1] ?? far
    for (let j = from; j <= to; j += 1) {
      const same = a[i - 1] === b[j - 1]
      const replaced = (row[j - 1] ?? far) + (same ? 0 : 1)
      const leftOut = j === i + most ? far : (row[j] ?? far) + 1
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swap = swapped ? (before[j - 2] ?? far) + 1 : far
      const cell = Math.min(replaced, leftOut, (next[j - 1] ?? far) + 1, swap, far)
      next[j] = cell
      least = Math.min(least, cell)
    }
    if (least >= far) return far
    ;[before, row, next] = [row, next, before]
  }
  return row[b.length] ?? far
}
