/** What each suite of a run is given, and what it is. */
import type { BenchOptions } from '../options.ts'
import type { World } from '../world/world.ts'
import type { Stage } from './stage.ts'
import type { SuiteResult } from './suite.ts'

export interface BenchContext {
  readonly world: World
  readonly quick: boolean
  /** For delegated calls; the same for all suites. */
  stage(): Promise<Stage>
  /** Tells the person at the terminal what is going on. */
  note(text: string): void
}

export type RunSuite = (context: BenchContext, options: BenchOptions) => Promise<SuiteResult>
