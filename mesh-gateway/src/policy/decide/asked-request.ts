/** The request of an egress decision as rules see it: built once per decision, for all agents of the chain. */

import { StepBudget } from '../compile/step-budget.ts'
import { type CanonicalPath, canonicalPath, type PathFault } from './canonical-path.ts'
import type { EgressQuestion } from './decision.ts'

/** The longest path that rules with paths match; RFC 9110, section 4.1, asks servers to support at least 8000. */
export const MAX_PATH_LENGTH = 8192

export class AskedRequest {
  readonly #question: EgressQuestion
  #budget: StepBudget | null
  /** Null until a rule with paths is checked. */
  #path: CanonicalPath | typeof TOO_LONG | null = null

  constructor(question: EgressQuestion, budget: StepBudget | null) {
    this.#question = question
    this.#budget = budget
  }

  get port(): number {
    return this.#question.port
  }

  /** Null for a tunnel, and for a request whose header may replace it. */
  get method(): string | null {
    return this.#judged?.method ?? null
  }

  get budget(): StepBudget {
    this.#budget ??= new StepBudget()
    return this.#budget
  }

  /** True when the budget ran out before a rule was found. */
  get undecided(): boolean {
    return this.#budget?.exhausted ?? false
  }

  /** Canonical. Null where `method` is, and for a path that no rule with paths can match: `fault` says why. */
  get path(): string | null {
    const request = this.#judged
    if (request === null) return null
    this.#path ??= readPath(request.path)
    return this.#path.path
  }

  /** What is wrong with the path; null until a rule with paths is checked. */
  get fault(): PathFault | 'too-long' | null {
    return this.#path?.fault ?? null
  }

  /** What rules with methods or paths may judge. */
  get #judged(): EgressQuestion['request'] {
    const { request } = this.#question
    return request?.override == null ? request : null
  }
}

const TOO_LONG = Object.freeze({ path: null, fault: 'too-long' } as const)

function readPath(raw: string): CanonicalPath | typeof TOO_LONG {
  const read = canonicalPath(raw)
  return read.path !== null && read.path.length > MAX_PATH_LENGTH ? TOO_LONG : read
}
