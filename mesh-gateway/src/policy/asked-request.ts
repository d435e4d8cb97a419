/** What an egress decision is asked, as rules look at it: made once for a decision, whoever else is in the chain. */
import { canonicalPath, type PathFault } from './canonical-path.ts'
import type { EgressQuestion } from './decision.ts'
import { StepBudget } from './step-budget.ts'

/** What rules with paths match at most; RFC 9110, section 4.1, asks of servers 8000 at least. */
export const MAX_PATH_LENGTH = 8192

export class AskedRequest {
  readonly port: number
  /** Null for a tunnel. */
  readonly method: string | null
  readonly #raw: string | null
  #budget: StepBudget | null
  #path: string | null = null
  #fault: PathFault | 'too-long' | null = null
  #read = false

  constructor({ port, request }: EgressQuestion, budget: StepBudget | null) {
    this.port = port
    this.method = request === null ? null : request.method
    this.#raw = request === null ? null : request.path
    this.#budget = budget
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
    if (!this.#read && this.#raw !== null) this.#readPath(this.#raw)
    return this.#path
  }

  /** What is wrong with the path; null while no rule with paths has been asked. */
  get fault(): PathFault | 'too-long' | null {
    return this.#fault
  }

  #readPath(raw: string): void {
    const { path, fault } = canonicalPath(raw)
    this.#read = true
    this.#fault = path !== null && path.length > MAX_PATH_LENGTH ? 'too-long' : fault
    this.#path = this.#fault === null ? path : null
  }
}
