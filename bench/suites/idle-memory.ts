/** How the memory of what is open and idle is measured, for streams and tunnels alike. */
import { type SettleOptions, settled } from '../measure/settled.ts'

export const MOST_ROUNDS = 2
/**
 * By then V8 has collected what opening left behind, which it does once the process has been quiet for a while; Go gives
 * memory back in that time as well.
 */
export const COLLECTED_MS = 20_000
const SETTLE: SettleOptions = { everyMs: 250, samples: 12, within: 0.005, patienceMs: 15_000 }
const QUICK_SETTLE: SettleOptions = { everyMs: 20, samples: 3, within: 0.05, patienceMs: 100 }

/** Bytes, once they have stopped moving; in a quick run they may still move. */
export function settledMemory(resident: () => number, quick: boolean): Promise<number> {
  return settled(resident, quick ? QUICK_SETTLE : SETTLE)
}
