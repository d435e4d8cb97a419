/**
 * Limits the work of one decision, in steps. The size of a step does not depend on policy. An attacker may write both
 * the policy and the question, so a decision that runs out of steps is a refusal.
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

  /** False when there were too few left. */
  spend(steps: number): boolean {
    this.#spent += steps
    return this.#spent <= this.#steps
  }
}
