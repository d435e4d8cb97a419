/** Order statistics: benches on shared machines have outliers upwards only, so no means here. */

export interface Summary {
  readonly median: number
  readonly lower: number
  readonly upper: number
  /** Interquartile range, upper minus lower. */
  readonly iqr: number
  readonly count: number
}

/** The value below which a part `q` (0 to 1) lies, between neighbours by straight line. NaN of nothing. */
export function quantile(values: readonly number[], q: number): number {
  if (!(q >= 0 && q <= 1)) throw new TypeError('q: must be from 0 to 1')
  const sorted = values.toSorted((a, b) => a - b)
  const position = (sorted.length - 1) * q
  const below = sorted[Math.floor(position)]
  const above = sorted[Math.ceil(position)]
  if (below === undefined || above === undefined) return Number.NaN
  return below + (above - below) * (position - Math.floor(position))
}

export function summarize(values: readonly number[]): Summary {
  const lower = quantile(values, 0.25)
  const upper = quantile(values, 0.75)
  return { median: quantile(values, 0.5), lower, upper, iqr: upper - lower, count: values.length }
}

/**
 * How many times `ours` costs what `theirs` does: the median over rounds of the ratio within each round.
 * Neighbouring windows share what the machine was doing, so this is steadier than a ratio of medians.
 */
export function pairedRatio(ours: readonly number[], theirs: readonly number[]): Summary {
  const pairs = ours.flatMap((value, round) => {
    const other = theirs[round]
    return other === undefined || !(other > 0) || !(value > 0) ? [] : [value / other]
  })
  return summarize(pairs)
}
