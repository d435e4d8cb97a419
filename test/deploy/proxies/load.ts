/** Agents that call and request without a pause worth mentioning, and what of it failed. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { Agent } from '@clawmesh/agent-sdk'

export interface Load {
  readonly done: { calls: number; requests: number }
  readonly failures: readonly string[]
  stop(): Promise<void>
}

const PAUSE_MS = 5

/** Each agent calls and requests at the same time, one after another. */
export function startLoad(agents: readonly Agent[], destination: string): Load {
  const done = { calls: 0, requests: 0 }
  const failures: string[] = []
  let on = true
  const again = async (what: string, once: () => Promise<void>) => {
    while (on) {
      await once().catch((error: unknown) => failures.push(`${what}: ${describe(error)}`))
      await sleep(PAUSE_MS)
    }
  }
  const work = agents.flatMap((agent, index) => [
    again(`call of ${index}`, async () => {
      const input = `hello ${done.calls}`
      const result = await agent.delegate('researcher', { skill: 'echo', input }).result()
      if (result.text() !== input) throw new Error(`it answered ${result.text()}`)
      done.calls += 1
    }),
    again(`request of ${index}`, async () => {
      const answer = await agent.fetch(destination)
      const text = await answer.text()
      if (answer.status !== 200 || text !== 'reached') throw new Error(`${answer.status} ${text}`)
      done.requests += 1
    }),
  ])
  return {
    done,
    failures,
    async stop() {
      on = false
      await Promise.all(work)
    },
  }
}

function describe(error: unknown): string {
  const cause =
    error instanceof Error && error.cause !== undefined ? ` <- ${describe(error.cause)}` : ''
  return `${error}${cause}`
}
