/** What a second process can bring at most on a machine where load and origin need the same cores. Pure. */

export interface Costs {
  readonly cores: number
  /** CPU of the process under test per request; any unit. */
  readonly own: number
  /** CPU of load generator and origin per request, in the same unit. */
  readonly rest: number
}

/**
 * One process is bound by its core, or all of them together by the machine; so are two. On two cores that is
 * 2 × own ÷ (own + rest), as long as the rest costs less than own does.
 */
export function mostSpeedUp(costs: Costs): number {
  return mostPerUnit(costs, 2) / mostPerUnit(costs, 1)
}

function mostPerUnit({ cores, own, rest }: Costs, processes: number): number {
  return Math.min(processes / own, cores / (own + rest))
}
