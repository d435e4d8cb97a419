/** Tries attempts one by one, and tells which of them arrived somewhere. */
import { waitFor } from '../../support/wait-for.ts'
import type { Arrival, Attacker, Attempt } from './attacker.ts'
import type { Rules } from './rules.ts'

export interface NamedAttempt extends Attempt {
  /** As a sentence goes on after "it cannot reach". */
  readonly name: string
}

export interface SiegeOptions {
  readonly arrivals: () => readonly Arrival[]
  /** Somebody whose packets get through whatever the rules are, and what is sent then. */
  readonly free: Attacker
  readonly freely: Attempt
}

export interface Siege {
  /** Resolves when it has arrived. @throws Error when it does not */
  arrives(attacker: Attacker, attempt: Attempt): Promise<Arrival>
  /** Resolves when the rules have dropped it, and all that was sent before has arrived. With what arrived of it. */
  isDropped(attacker: Attacker, attempt: Attempt, rules: Rules): Promise<readonly Arrival[]>
}

/** After which an attempt that has not arrived is made once more. */
const AGAIN_MS = 2_000

export function createSiege({ arrivals, free, freely }: SiegeOptions): Siege {
  let count = 0
  const nextMarker = () => `mark-${++count}-`
  const arrived = (marker: string) => arrivals().find((each) => each.marker === marker)
  async function arrives(attacker: Attacker, attempt: Attempt): Promise<Arrival> {
    const marker = nextMarker()
    let tries = 0
    let triedMs = 0
    const tryAgain = async () => {
      tries += 1
      triedMs = performance.now()
      // a neighbour that a new link does not know yet is unreachable: the kernel says so, and does not try again
      await attacker.begin(attempt, marker).catch((error: unknown) => {
        if (tries > 5) throw error
      })
    }
    await tryAgain()
    const look = async () => {
      if (arrived(marker) === undefined && performance.now() - triedMs > AGAIN_MS) await tryAgain()
      return arrived(marker)
    }
    return await waitFor(`${JSON.stringify(attempt)} to arrive`, look, { everyMs: 2 })
  }
  return {
    arrives,
    async isDropped(attacker, attempt, rules) {
      // what is still being sent again is not counted for this one
      if (attempt.kind !== 'again') await attacker.begin({ kind: 'forget' }, '')
      const before = await rules.dropped()
      const known = new Set(arrivals())
      const marker = nextMarker()
      await attacker.begin(attempt, marker)
      await waitFor(
        `${JSON.stringify(attempt)} to be dropped`,
        async () => arrived(marker) !== undefined || (await rules.dropped()) > before,
        { everyMs: 10 },
      )
      // on the same way as what would have got through
      const last = await arrives(free, freely)
      return arrivals().filter((each) => !known.has(each) && each.marker !== last.marker)
    },
  }
}
