/**
 * Hooks of every file of tests (.mocharc.json). In one of several processes of `npm test` (`mocha --parallel`), which ends
 * whatever its tests have left open, a file fails for that. In a process of its own mocha does not end then, which tells as much.
 */
import { leftOpen, openResources } from './closes-everything.ts'

/** How long what was closed may take to be gone, in milliseconds. */
const SETTLE_MS = 10_000

export function mochaHooks(): Mocha.RootHookObject {
  if (process.env.MOCHA_WORKER_ID === undefined) return {}
  let atFirst: ReadonlyMap<string, number>
  return {
    beforeAll() {
      atFirst = openResources()
    },
    async afterAll(this: Mocha.Context) {
      this.timeout(2 * SETTLE_MS)
      const left = await leftOpen(atFirst, SETTLE_MS)
      if (left.length === 0) return
      const file = this.test?.parent?.suites[0]?.file
      throw new Error(`${file} leaves open: ${left.join(', ')}`)
    },
  }
}
