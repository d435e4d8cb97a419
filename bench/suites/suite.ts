/** What a suite hands to the report: raw figures of each round, by metric and contestant. */

export interface Target {
  readonly against: string
  readonly atMost: number
}

export interface Metric {
  readonly name: string
  readonly unit: string
  /** False: ours divided by another's means nothing. Default: true. */
  readonly compared?: boolean
  /** One figure per round, in the order of rounds; NaN where nothing was completed. */
  readonly figures: Readonly<Record<string, readonly number[]>>
  readonly targets: readonly Target[]
  /** Limit for our own figure, in `unit`. Null: none. */
  readonly limit: number | null
}

export interface SuiteResult {
  readonly title: string
  /** How it was measured, in a sentence. */
  readonly how: string
  readonly metrics: readonly Metric[]
  /** Contestants that did not take part, calls that failed. */
  readonly remarks: readonly string[]
}

/** One that is compared, with no target and no limit, unless `more` says otherwise. */
export function metric(
  name: string,
  unit: string,
  figures: Metric['figures'],
  more: Partial<Metric> = {},
): Metric {
  return { name, unit, figures, targets: [], limit: null, ...more }
}

/**
 * Runs every contestant once per round, so that what else the machine does hits all of them; every other round backwards,
 * so that a machine that grows slower or faster by the minute favours none.
 */
export async function inRounds<T>(
  rounds: number,
  names: readonly string[],
  measure: (name: string) => Promise<T>,
): Promise<Record<string, T[]>> {
  const figures: Record<string, T[]> = Object.fromEntries(names.map((name) => [name, []]))
  for (let round = 0; round < rounds; round++)
    for (const name of round % 2 === 0 ? names : names.toReversed())
      figures[name]?.push(await measure(name))
  return figures
}

export function mapFigures<T, U>(
  figures: Readonly<Record<string, readonly T[]>>,
  map: (figure: T, round: number) => U,
): Record<string, U[]> {
  return Object.fromEntries(
    Object.entries(figures).map(([name, all]) => [name, all.map((one, round) => map(one, round))]),
  )
}

/** What each but `base` has more than `base` in the same round. */
export function beyond(figures: Metric['figures'], base: string): Record<string, number[]> {
  const least = figures[base] ?? []
  return mapFigures(
    without(figures, base),
    (figure, round) => figure - (least[round] ?? Number.NaN),
  )
}

export function without<T>(
  figures: Readonly<Record<string, readonly T[]>>,
  name: string,
): Record<string, readonly T[]> {
  return Object.fromEntries(Object.entries(figures).filter(([one]) => one !== name))
}
