/** Which core does what: the process under test has one to itself, everything else shares another. */
import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'

export interface Cores {
  /** For taskset; null when nothing is pinned. */
  readonly tested: number | null
  readonly rest: number | null
  readonly note: string
}

export function chooseCores(): Cores {
  const cores = availableParallelism()
  if (cores < 2)
    return {
      tested: null,
      rest: null,
      note: 'one core only: nothing is pinned, latencies say little',
    }
  if (spawnSync('taskset', ['-c', '0', 'true']).status !== 0)
    return { tested: null, rest: null, note: 'no taskset: nothing is pinned' }
  return {
    tested: 1,
    rest: 0,
    note: 'the process under test on core 1, load generator and backend on core 0',
  }
}
