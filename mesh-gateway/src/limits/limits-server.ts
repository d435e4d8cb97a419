/**
 * Limits over IPC, the server: the messages of a process that asks for limits, and the answers of the one that counts
 * them.
 */
import { MeshError } from '@clawmesh/proto'
import type { Release } from './limits.ts'
import type { Counting } from './open-limits.ts'

/** Each has an id of its own; a `leave` names the place that its `enter` got. */
export type Question =
  | readonly [kind: 'take', id: number, key: string, perMinute: number, burst: number]
  | readonly [kind: 'enter', id: number, key: string, max: number]
  | readonly [kind: 'spend', id: number, txn: string, max: number, tenant: string]
  | readonly [kind: 'leave', place: number]

/**
 * To `take`: milliseconds to wait, or null. To `enter`: the place, or false. To `spend`: whether it was granted; null
 * when no more trees are counted.
 */
export type Answer =
  | readonly [id: number, value: number | boolean | null]
  | readonly [id: number, value: 'in', place: number]

export interface LimitsServer {
  /** Answers all in one message; a `leave` has no answer. */
  answer(questions: readonly Question[]): Promise<readonly Answer[]>
  /** After the asking process has ended: gives back what it held, and grants nothing more. */
  release(): void
}

/** One server for each process that asks. */
export function createLimitsServer({ limits, budgets }: Counting): LimitsServer {
  // an array of places, not a Map: docs/discoveries/maps-keep-what-has-died.md
  const inside: (Release | null)[] = []
  const free: number[] = []
  let gone = false

  async function enter(id: number, key: string, max: number): Promise<Answer> {
    const release = await limits.enter(key, max)
    if (release === null || gone) {
      release?.()
      return [id, false]
    }
    const place = free.pop() ?? inside.length
    inside[place] = release
    return [id, 'in', place]
  }

  function end(place: number): void {
    const release = inside[place] ?? null
    if (release === null) return
    inside[place] = null
    free.push(place)
    release()
  }

  async function spend(txn: string, max: number, tenant: string): Promise<boolean | null> {
    try {
      return await budgets.spend(txn, max, tenant)
    } catch (error) {
      if (error instanceof MeshError && error.code === 'MESH_LIMIT_TREES') return null
      throw error
    }
  }

  async function answerOne(question: Question): Promise<Answer | null> {
    const id = question[1]
    if (question[0] === 'take')
      return [id, await limits.take(question[2], question[3], question[4])]
    if (question[0] === 'enter') return enter(id, question[2], question[3])
    if (question[0] === 'spend') return [id, await spend(question[2], question[3], question[4])]
    end(id)
    return null
  }

  return {
    async answer(questions) {
      const answers = await Promise.all(questions.map(answerOne))
      return answers.filter((one) => one !== null)
    },
    release() {
      gone = true
      for (const place of inside.keys()) end(place)
    },
  }
}
