/** Windows of contestants in turn, measured again while others had too much of the core of what is measured. */
import type { Contestant } from '../contestants/contestant.ts'
import type { Window } from '../measure/load-window.ts'
import { besideOthers, type CalmOptions, calmest } from '../measure/neighbours.ts'
import { quantile } from '../measure/statistics.ts'
import type { Cores } from '../process/cores.ts'
import { inRounds } from './suite.ts'

export interface CalmWindow extends Window {
  /** Part of the time in which others had the core of the process under test. NaN where nobody can say. */
  readonly others: number
}

export interface CalmRounds {
  readonly rounds: number
  readonly contestants: readonly Contestant[]
  readonly cores: Cores
  /** A quick run judges no figure and takes them as they come. */
  readonly quick: boolean
}

/** On a busy machine most windows pass at the second or third look. */
const CALM: CalmOptions = { tries: 3, others: 0.15 }
const AS_IT_COMES: CalmOptions = { tries: 1, others: 1 }

/** A warning when the calmest were not calm: neighbours do not hit all contestants alike. */
export function remarkOnOthers(windows: Readonly<Record<string, readonly CalmWindow[]>>): string[] {
  const shares = Object.values(windows).map((all) =>
    quantile(
      all.map(({ others }) => others).filter((one) => !Number.isNaN(one)),
      0.5,
    ),
  )
  const most = Math.max(0, ...shares.filter((share) => !Number.isNaN(share)))
  if (most <= CALM.others) return []
  const percent = Math.round(100 * most)
  return [
    `the machine was busy, others had up to ${percent} % of the core: run it again before you trust a ratio`,
  ]
}

export function inCalmRounds(
  { rounds, contestants, cores, quick }: CalmRounds,
  measure: (one: Contestant) => Promise<Window>,
): Promise<Record<string, CalmWindow[]>> {
  const byName = new Map(contestants.map((one) => [one.name, one]))
  return inRounds(rounds, [...byName.keys()], async (name) => {
    const one = byName.get(name)
    if (one === undefined) throw new TypeError(`no contestant ${name}`)
    const pids = one.pids()
    // with none in between, the tested core has nothing to do with it
    const core = pids.length === 0 ? null : cores.tested
    const { value, others } = await calmest(
      () => besideOthers(core, pids, () => measure(one)),
      quick ? AS_IT_COMES : CALM,
    )
    return { ...value, others }
  })
}
