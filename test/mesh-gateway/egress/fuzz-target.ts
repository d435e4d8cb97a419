/** A promise that is put to inputs at random. */
import type fc from 'fast-check'

export interface FuzzTarget {
  readonly name: string
  /** Cases in CI. */
  readonly runs: number
  /** @throws with the seed and the smallest case that breaks a promise. */
  run(parameters: fc.Parameters<unknown>): Promise<void>
}
