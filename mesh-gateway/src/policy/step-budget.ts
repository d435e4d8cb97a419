/**
 * How much work one decision may do, in steps of a size that does not depend on policy. Policy and question may both come
 * from somebody who wants the gateway to stand still: whoever runs out of steps is refused.
 */

/** About two milliseconds; an honest policy needs a few hundred. */
export const DECISION_STEPS = 200_000

export class StepBudget {
  #spent = 0
  readonly #steps: number

  constructor(steps: number = DECISION_STEPS) {
    this.#steps = steps
  }

  get spent(): number {
    return this.#spent
  }

  get exhausted(): boolean {
    return this.#spent > this.#steps
  }

  /** False when there were not as many left. */
  spend(steps: number): boolean {
    this.#spent += steps
    return this.#spent <= this.#steps
  }
}
