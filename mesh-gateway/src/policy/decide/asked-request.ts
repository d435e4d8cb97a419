/** What an egress decision is asked, as rules look at it: made once for a decision, whoever else is in the chain. */

import { StepBudget } from '../compile/step-budget.ts'
import { type CanonicalPath, canonicalPath, type PathFault } from './canonical-path.ts'
import type { EgressQuestion } from './decision.ts'

/** What rules with paths match at most; RFC 9110, section 4.1, asks of servers 8000 at least. */
export const MAX_PATH_LENGTH = 8192

export class AskedRequest {
  readonly #question: EgressQuestion
  #budget: StepBudget | null
  /** Null while no rule with paths has been asked. */
  #path: CanonicalPath | typeof TOO_LONG | null = null

  constructor(question: EgressQuestion, budget: StepBudget | null) {
    this.#question = question
    this.#budget = budget
  }

  get port(): number {
    return this.#question.port
  }

  /** Null for a tunnel. */
  get method(): string | null {
    return this.#question.request?.method ?? null
  }

  get budget(): StepBudget {
    this.#budget ??= new StepBudget()
    return this.#budget
  }

  /** True when the budget did not suffice to see whether a rule allows it. */
  get undecided(): boolean {
    return this.#budget?.exhausted ?? false
  }

  /** Canonical. Null for a tunnel, and for one that no rule with paths matches: `fault` says why. */
  get path(): string | null {
    const { request } = this.#question
    if (request === null) return null
    this.#path ??= readPath(request.path)
    return this.#path.path
  }

  /** What is wrong with the path; null while no rule with paths has been asked. */
  get fault(): PathFault | 'too-long' | null {
    return this.#path?.fault ?? null
  }
}

const TOO_LONG = Object.freeze({ path: null, fault: 'too-long' } as const)

function readPath(raw: string): CanonicalPath | typeof TOO_LONG {
  const read = canonicalPath(raw)
  return read.path !== null && read.path.length > MAX_PATH_LENGTH ? TOO_LONG : read
}
